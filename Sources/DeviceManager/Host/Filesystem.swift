import CLinux
import Glibc
import SystemPackage

/// File systems on block devices: looking for them (Signature.swift), making them, preparing them for DAX.
package enum Filesystem {
    /// Formats the device, whatever is on it: the caller has proved that it may. It refuses a mounted device.
    package static func make(
        _ type: FilesystemType, on device: BlockDevice, timeout: Duration = .seconds(600)
    ) async throws(HostError) {
        let path = device.path
        do {
            let size = try await blocking {
                try device.checkNotInUse()
                return try device.size()
            }
            let outcome = try await Command.run(type.program, type.arguments(for: path, size: size), timeout: timeout)
            guard outcome.succeeded else {
                let text = outcome.lines.prefix { !$0.hasPrefix("Usage:") }.joined(separator: "; ")
                throw HostError(.failed, "\(type.program) on \(path) ended with \(outcome.status): \(text)")
            }
        } catch let error as HostError {
            throw error
        } catch is CommandMissing {
            let remedy = "install the Debian package \(type.debianPackage) on this node or in the driver's image"
            throw HostError(.unsupported, "program \(type.program) not found; \(remedy)")
        } catch {
            throw HostError(.failed, "\(type.program) on \(path) did not finish: \(error)", cause: error)
        }
    }

    /// Makes a mounted xfs allocate in multiples of `bytes`, for all files to come: DAX maps 2 MiB pages only then.
    /// A hint that somebody set already stays.
    package static func setExtentSizeHint(root: String, bytes: UInt32) throws(HostError) {
        let operation = "set the extent size hint of \(root)"
        do throws(Errno) {
            let directory = try Descriptor(opening: root, O_RDONLY | O_DIRECTORY)
            var attributes = linux_fsxattr()
            try control(directory, linux_FS_IOC_FSGETXATTR, &attributes)
            guard attributes.extsize == 0 else { return }
            // FS_XFLAG_EXTSZINHERIT
            attributes.xflags |= 0x1000
            attributes.extsize = bytes
            try control(directory, linux_FS_IOC_FSSETXATTR, &attributes)
        } catch {
            throw .system(error.rawValue, operation)
        }
    }
}
