import Glibc

extension Filesystem {
    /// What a file system has, in bytes and in inodes.
    package struct Usage: Sendable, Equatable {
        package struct Amount: Sendable, Equatable {
            package let total: UInt64
            package let used: UInt64
            /// What users may still take: less than what is free where some is reserved.
            package let available: UInt64
        }

        package let bytes: Amount
        package let inodes: Amount
    }

    package static func usage(at path: String) throws(HostError) -> Usage {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else {
            throw .system(errno, "read how full the file system at \(path) is")
        }
        let unit = UInt64(status.f_frsize)
        let (total, free) = (UInt64(status.f_blocks), UInt64(status.f_bfree))
        let (inodes, freeInodes) = (UInt64(status.f_files), UInt64(status.f_ffree))
        return Usage(
            bytes: .init(
                total: total * unit, used: (total - min(free, total)) * unit, available: UInt64(status.f_bavail) * unit),
            inodes: .init(
                total: inodes, used: inodes - min(freeInodes, inodes), available: UInt64(status.f_favail)))
    }
}
