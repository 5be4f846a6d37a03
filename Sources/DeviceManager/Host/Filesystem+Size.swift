import Glibc
import SystemPackage

extension Filesystem {
    /// How large the file system says it is; less than the device where that has grown.
    ///
    /// Nobody may have it mounted: xfs writes its superblock when it likes (see `grow` for those that are).
    package static func size(of type: FilesystemType, on device: BlockDevice) throws(HostError) -> UInt64 {
        let superblock = try bytes(of: device, count: 1024, at: type == .ext4 ? 1024 : 0)
        let (magic, blockSize, blocks) =
            switch type {
            case .ext4: ext4(superblock)
            case .xfs: xfs(superblock)
            }
        let (size, overflow) = blocks.multipliedReportingOverflow(by: blockSize)
        guard magic, blockSize > 0, !overflow else {
            throw HostError(.failed, "\(device.path) has no superblock of \(type.rawValue)")
        }
        return size
    }

    /// The fields of struct ext4_super_block, the lower bytes first.
    private static func ext4(_ superblock: [UInt8]) -> (Bool, UInt64, UInt64) {
        let low = number(superblock[0x04..<0x08].reversed())
        let logarithm = number(superblock[0x18..<0x1c].reversed())
        // With the feature "64bit" only are the upper halves in use.
        let isLarge = superblock[0x60] & 0x80 != 0
        let high = isLarge ? number(superblock[0x150..<0x154].reversed()) : 0
        // 64 KiB are the largest block.
        let blockSize: UInt64 = logarithm <= 6 ? 1024 << logarithm : 0
        return (superblock[0x38..<0x3a] == [0x53, 0xef], blockSize, high << 32 | low)
    }

    /// The fields of struct xfs_dsb, the upper bytes first.
    private static func xfs(_ superblock: [UInt8]) -> (Bool, UInt64, UInt64) {
        (superblock.starts(with: "XFSB".utf8), number(superblock[4..<8]), number(superblock[8..<16]))
    }

    private static func number(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    static func bytes(of device: BlockDevice, count: Int, at offset: off_t) throws(HostError) -> [UInt8] {
        let file = try device.opened(O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: count)
        do throws(Errno) {
            guard try systemCall({ pread(file.raw, &bytes, count, offset) }) == count else { throw Errno.ioError }
        } catch {
            throw .system(error.rawValue, "read the superblock of \(device.path)")
        }
        return bytes
    }
}
