extension Filesystem {
    /// Whether the file system was ever mounted, or could be: one that its mkfs did not finish was not.
    ///
    /// xfs keeps no count of mounts, so a whole one counts as used.
    package static func wasMounted(_ type: FilesystemType, on device: BlockDevice) throws(HostError) -> Bool {
        let superblock = try bytes(of: device, count: 1024, at: type == .ext4 ? 1024 : 0)
        return switch type {
        // s_mtime and s_mnt_count of struct ext4_super_block.
        case .ext4: superblock[0x2c..<0x30].contains { $0 != 0 } || superblock[0x34..<0x36].contains { $0 != 0 }
        // sb_inprogress of struct xfs_dsb, which the kernel refuses to mount.
        case .xfs: superblock[126] == 0
        }
    }
}
