import CLinux
import Glibc
import SystemPackage

/// A loop device that shows a file as a block device, by its number. The value owns nothing: the device stays attached
/// until `release`, whatever becomes of this process; every method blocks its thread.
package struct LoopAttachment: Sendable, Hashable {
    package let number: Int

    package init(number: Int) {
        self.number = number
    }

    package var path: String { "/dev/loop\(number)" }

    /// Attaches the file to a free loop device, with direct I/O where the file system has it.
    package static func attach(_ file: BackingFile) throws(HostError) -> LoopAttachment {
        let backing = try directlyOpened(file)
        let control = try openedDevice("/dev/loop-control", O_RDWR)
        // Others take free devices too, so a number that was free may be taken the next moment.
        for _ in 0..<1000 {
            let number = ioctl(control.raw, linux_LOOP_CTL_GET_FREE, 0)
            guard number >= 0 else { throw .system(errno, "find a free loop device") }
            let loop = LoopAttachment(number: Int(number))
            if try loop.configure(backing, file) { return loop }
        }
        throw HostError(.busy, "cannot attach \(file.path): other programs take every free loop device first")
    }

    /// What file it shows; nil when it shows none.
    package func identity() throws(HostError) -> BackingFile.Identity? {
        guard let device = try opened() else { return nil }
        return try Self.info(device, path)?.identity
    }

    /// Makes the device what `attach` makes, one that another user was to clear with its last close included. False
    /// when it does not show this file any more.
    package func adopt(_ identity: BackingFile.Identity) throws(HostError) -> Bool {
        guard let device = try opened(), var info = try Self.info(device, path), info.identity == identity else {
            return false
        }
        if info.flags & linux_LO_FLAGS_AUTOCLEAR != 0 { try keep(device, &info) }
        return try Self.info(device, path)?.identity == identity
    }

    /// Takes on the size that the file has now.
    package func updateSize() throws(HostError) {
        let device = try Self.openedDevice(path, O_RDONLY)
        guard ioctl(device.raw, linux_LOOP_SET_CAPACITY, 0) == 0 else { throw .system(errno, "resize \(path)") }
    }

    /// Writes out what only the device's page cache has.
    package func flush() throws(HostError) {
        let device = try Self.openedDevice(path, O_RDONLY)
        guard fsync(device.raw) == 0 else { throw .system(errno, "flush \(path)") }
    }

    /// Detaches the file if nobody else has the device open.
    ///
    /// False when somebody has: everything is as it was then, or, with `whenClosed`, the kernel detaches it with the
    /// last close.
    package func release(_ identity: BackingFile.Identity, whenClosed: Bool = false) throws(HostError) -> Bool {
        // While this descriptor is open nobody can give the number to another file.
        guard let device = try opened(), var info = try Self.info(device, path), info.identity == identity else {
            return true
        }
        // The setting is the number's, not the file's: whoever gets it next must not inherit it.
        try? BlockDevice(path: path).setReadOnly(false)
        guard ioctl(device.raw, linux_LOOP_CLR_FD, 0) == 0 else {
            if errno == ENXIO { return true }
            throw .system(errno, "detach \(path)")
        }
        // The kernel detaches at the last close: with ours, unless there are other openers.
        guard try Self.info(device, path) != nil else { return true }
        if !whenClosed { try keep(device, &info) }
        return false
    }
}

extension LoopAttachment {
    /// False when somebody else was faster.
    private func configure(_ backing: borrowing Descriptor, _ file: BackingFile) throws(HostError) -> Bool {
        let device = try Self.openedDevice(path, O_RDWR)
        var configuration = linux_loop_config()
        configuration.file = UInt32(bitPattern: backing.raw)
        configuration.info.flags = linux_LO_FLAGS_DIRECT_IO
        let result = withUnsafeMutablePointer(to: &configuration) {
            ioctl(device.raw, linux_LOOP_CONFIGURE, UnsafeMutableRawPointer($0))
        }
        if result == 0 {
            // Somebody may have left it so.
            try? BlockDevice(path: path).setReadOnly(false)
            return true
        }
        guard errno == EBUSY else { throw .system(errno, "attach \(file.path) to \(path)") }
        return false
    }

    /// With O_DIRECT the kernel gives the device the block size that direct I/O needs.
    private static func directlyOpened(_ file: BackingFile) throws(HostError) -> Descriptor {
        do throws(HostError) {
            return try file.opened(O_RDWR | linux_O_DIRECT)
        } catch {
            guard error.errno == EINVAL else { throw error }
            return try file.opened(O_RDWR)
        }
    }

    /// Takes back the kernel's promise to detach the file with the last close.
    private func keep(_ device: borrowing Descriptor, _ info: inout linux_loop_info) throws(HostError) {
        info.flags &= ~linux_LO_FLAGS_AUTOCLEAR
        let result = withUnsafeMutablePointer(to: &info) {
            ioctl(device.raw, linux_LOOP_SET_STATUS64, UnsafeMutableRawPointer($0))
        }
        guard result == 0 || errno == ENXIO else { throw .system(errno, "keep \(path) attached") }
    }

    private func opened() throws(HostError) -> Descriptor? {
        do throws(HostError) {
            return try Self.openedDevice(path, O_RDONLY)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    private static func openedDevice(_ path: String, _ flags: Int32) throws(HostError) -> Descriptor {
        do throws(Errno) {
            return try Descriptor(opening: path, flags)
        } catch {
            let remedy = "the driver needs loop devices: modprobe loop, and /dev of the host in a container"
            throw .system(error.rawValue, "open \(path)", remedy: error == .noSuchFileOrDirectory ? remedy : nil)
        }
    }

    private static func info(_ device: borrowing Descriptor, _ path: String) throws(HostError) -> linux_loop_info? {
        var info = linux_loop_info()
        let result = withUnsafeMutablePointer(to: &info) {
            ioctl(device.raw, linux_LOOP_GET_STATUS64, UnsafeMutableRawPointer($0))
        }
        if result == 0 { return info }
        guard errno == ENXIO else { throw .system(errno, "ask what \(path) shows") }
        return nil
    }
}

extension linux_loop_info {
    fileprivate var identity: BackingFile.Identity { BackingFile.Identity(device: device, inode: inode) }
}
