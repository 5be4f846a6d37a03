import CLinux
import Glibc
import SystemPackage

/// A block device by its path. The value owns nothing: every method opens the device and closes it again, blocks its
/// thread, and refuses a path that is no block device.
package struct BlockDevice: Sendable, Hashable {
    package let path: String

    package init(path: String) {
        self.path = path
    }

    package func number() throws(HostError) -> DeviceNumber {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw .system(errno, "look at device \(path)", remedy: "check that the device exists on this node")
        }
        guard status.st_mode & S_IFMT == S_IFBLK else {
            throw HostError(.invalidArgument, "\(path) is not a block device")
        }
        return DeviceNumber(rawValue: status.st_rdev)
    }

    package func size() throws(HostError) -> UInt64 {
        try size(of: try opened(O_RDONLY))
    }

    /// Throws `busy` when the device is mounted in any mount namespace, or claimed by LVM, device-mapper or RAID.
    package func checkNotInUse() throws(HostError) {
        _ = try opened(O_RDONLY | O_EXCL)
    }

    /// A read-only bind mount does not stop writing to a device node, so raw block needs this as well.
    package func setReadOnly(_ readOnly: Bool) throws(HostError) {
        let device = try opened(O_RDONLY)
        var value: Int32 = readOnly ? 1 : 0
        try control(device, linux_BLKROSET, &value, "make \(path) \(readOnly ? "read-only" : "writable")")
    }
}

extension BlockDevice {
    /// O_EXCL on a block device is the kernel's own exclusion: it fails while a mount or a device-mapper table holds it.
    func opened(_ flags: Int32) throws(HostError) -> Descriptor {
        _ = try number()
        do throws(Errno) {
            return try Descriptor(opening: path, flags)
        } catch {
            let remedy = "it is mounted or part of another device; unmount it first (lsblk \(path) shows what holds it)"
            throw .system(error.rawValue, "open device \(path)", remedy: error == .resourceBusy ? remedy : nil)
        }
    }

    func size(of device: borrowing Descriptor) throws(HostError) -> UInt64 {
        var size: UInt64 = 0
        try control(device, linux_BLKGETSIZE64, &size, "read the size of \(path)")
        return size
    }

    /// A device without content is never "blank", and never "erased".
    func sizeAboveZero(of device: borrowing Descriptor) throws(HostError) -> UInt64 {
        let size = try size(of: device)
        guard size > 0 else {
            throw HostError(.failed, "device \(path) has size 0; check that it is active and attached")
        }
        return size
    }

    private func control<Value>(
        _ device: borrowing Descriptor, _ request: UInt, _ value: inout Value, _ operation: String
    ) throws(HostError) {
        let result = withUnsafeMutablePointer(to: &value) { ioctl(device.raw, request, UnsafeMutableRawPointer($0)) }
        guard result == 0 else { throw .system(errno, operation) }
    }
}
