import CLinux
import Glibc
import SystemPackage

extension Filesystem {
    /// Makes a mounted file system as large as its device; one that is so already stays as it is.
    ///
    /// `mountPoint` must be writable. Answers whether it grew. The last blocks, too few for a group of the file
    /// system's, may stay unused.
    package static func grow(
        _ type: FilesystemType, on device: BlockDevice, mountedAt mountPoint: String
    ) throws(HostError) -> Bool {
        let size = try device.size()
        let operation = "grow the \(type.rawValue) at \(mountPoint) to the \(size) bytes of \(device.path)"
        do throws(Errno) {
            let directory = try Descriptor(opening: mountPoint, O_RDONLY | O_DIRECTORY)
            return switch type {
            case .ext4: try growExt4(directory, from: ext4Size(on: device), to: size)
            case .xfs: try growXFS(directory, to: size)
            }
        } catch {
            guard error != .notPermitted else {
                let remedy = "give the driver CAP_SYS_RESOURCE, or mount the volume anew: it grows before that"
                let reason = "cannot \(operation): \(error.description)"
                throw HostError(.unsupported, "\(reason); \(remedy)", errno: error.rawValue)
            }
            let remedy =
                error == .readOnlyFileSystem ? "it is mounted read-only" : "the kernel's log (dmesg) tells more"
            throw .system(error.rawValue, operation, remedy: remedy)
        }
    }

    /// The kernel changes the superblock in the device's own cache, so it is always up to date.
    private static func ext4Size(on device: BlockDevice) throws(Errno) -> UInt64 {
        do throws(HostError) {
            return try size(of: .ext4, on: device)
        } catch {
            throw Errno(rawValue: error.errno ?? EIO)
        }
    }

    private static func growExt4(
        _ directory: borrowing Descriptor, from oldSize: UInt64, to size: UInt64
    ) throws(Errno) -> Bool {
        var status = statvfs()
        guard fstatvfs(directory.raw, &status) == 0, status.f_bsize > 0 else { throw Errno(rawValue: errno) }
        var blocks = size / UInt64(status.f_bsize)
        guard blocks > oldSize / UInt64(status.f_bsize) else { return false }
        try control(directory, linux_EXT4_IOC_RESIZE_FS, &blocks)
        return true
    }

    private static func growXFS(_ directory: borrowing Descriptor, to size: UInt64) throws(Errno) -> Bool {
        var geometry = linux_xfs_geometry()
        try control(directory, linux_XFS_IOC_FSGEOMETRY_V1, &geometry)
        guard geometry.blocksize > 0 else { throw .ioError }
        let blocks = size / UInt64(geometry.blocksize)
        guard blocks > geometry.datablocks else { return false }
        var growth = linux_xfs_growth(newblocks: blocks, imaxpct: geometry.imaxpct)
        try control(directory, linux_XFS_IOC_FSGROWFSDATA, &growth)
        return true
    }

    static func control<Value>(
        _ directory: borrowing Descriptor, _ request: UInt, _ value: inout Value
    ) throws(Errno) {
        let result = withUnsafeMutablePointer(to: &value) { ioctl(directory.raw, request, UnsafeMutableRawPointer($0)) }
        guard result == 0 else { throw Errno(rawValue: errno) }
    }
}

// For processes that may not grow what is mounted, as in many containers.
extension Filesystem {
    /// What ext4 asks for; xfs is content with CAP_SYS_ADMIN, which mounting needs as well.
    private static let resourceCapability: UInt64 = 24

    /// Whether the kernel lets this process grow a mounted file system of this type.
    package static func canGrowMounted(_ type: FilesystemType) -> Bool {
        guard type == .ext4 else { return true }
        guard let file = try? Descriptor(opening: "/proc/self/status", O_RDONLY), let bytes = try? file.readAll() else {
            return false
        }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        let mask = (line?.split(whereSeparator: \.isWhitespace).last).flatMap { UInt64($0, radix: 16) } ?? 0
        return mask >> resourceCapability & 1 == 1
    }

    /// The same for an ext4 that nobody has mounted, which takes longer: it is checked before.
    package static func growUnmountedExt4(on device: BlockDevice) async throws(HostError) {
        let path = device.path
        do {
            let isLarge = try await blocking {
                try device.checkNotInUse()
                return try size(of: .ext4, on: device) / 4096 >= device.size() / 4096
            }
            guard !isLarge else { return }
            // It ends with 1 when it corrected something.
            try await run("e2fsck", ["-f", "-p", path], accepting: "exited(1)")
            try await run("resize2fs", [path], accepting: nil)
        } catch let error as HostError {
            throw error
        } catch is CommandMissing {
            let remedy = "install the Debian package e2fsprogs on this node or in the driver's image"
            throw HostError(.unsupported, "programs e2fsck and resize2fs not found; \(remedy)")
        } catch {
            throw HostError(.failed, "growing the ext4 on \(path) did not finish: \(error)", cause: error)
        }
    }

    private static func run(_ program: String, _ arguments: [String], accepting status: String?) async throws {
        let outcome = try await Command.run(program, arguments, timeout: .seconds(600))
        guard outcome.succeeded || outcome.status == status else {
            let text = outcome.lines.joined(separator: "; ")
            throw HostError(
                .failed, "\(program) \(arguments.joined(separator: " ")) ended with \(outcome.status): \(text)")
        }
    }
}
