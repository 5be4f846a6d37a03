import CLinux
import Glibc
import SystemPackage

// Files whose content lies in the same blocks until one of them changes (reflinks).
extension BackingFile {
    /// Whether this file's content can be shared with files beside it; the file is overwritten for the trial.
    package func tryingSharing() throws(HostError) -> Bool {
        let size: UInt64 = 1 << 20
        try create(size: 2 * size, allocated: false)
        let file = try opened(O_RDWR)
        var range = linux_clone_range(source: Int64(file.raw), source_offset: 0, length: size, offset: size)
        let result = withUnsafeMutablePointer(to: &range) {
            ioctl(file.raw, linux_FICLONERANGE, UnsafeMutableRawPointer($0))
        }
        if result == 0 { return true }
        guard [EOPNOTSUPP, EINVAL, ENOTTY, ENOSYS, EXDEV, EPERM].contains(errno) else {
            throw .system(errno, "try to share blocks of \(path)")
        }
        return false
    }

    /// Gives the range blocks of its own, holes too.
    package func unshare(_ range: Range<UInt64>) throws {
        let isDone = try reserve(try opened(O_RDWR), range, flags: linux_FALLOC_FL_UNSHARE_RANGE)
        guard !isDone else { return }
        // Overwriting with the same content does the same; the caller alone knows this file yet.
        _ = try ContentCopy(from: path, to: path, size: range.upperBound).copy(range) { _ in true }
    }

    /// Bytes in blocks that no other file shares: what the file needs no more space for, whatever is written to it.
    package func exclusiveBytes() throws(HostError) -> UInt64 {
        let file = try opened(O_RDONLY)
        var bytes: UInt64 = 0
        var start: UInt64 = 0
        while true {
            let extents = try Self.extents(of: file, from: start, path)
            for extent in extents where extent.flags & Self.sharedOrUnknown == 0 { bytes += extent.length }
            guard let last = extents.last, last.flags & Self.last == 0 else { return bytes }
            start = last.logical + last.length
        }
    }

    /// FIEMAP_EXTENT_LAST.
    private static var last: UInt32 { 0x1 }
    /// FIEMAP_EXTENT_UNKNOWN, FIEMAP_EXTENT_DELALLOC and FIEMAP_EXTENT_SHARED.
    private static var sharedOrUnknown: UInt32 { 0x2 | 0x4 | 0x2000 }

    private static func extents(
        of file: borrowing Descriptor, from start: UInt64, _ path: String
    ) throws(HostError) -> [linux_extent] {
        var map = linux_extent_map()
        map.start = start
        map.length = .max - start
        map.count = UInt32(MemoryLayout.size(ofValue: map.extents) / MemoryLayout<linux_extent>.stride)
        let result = withUnsafeMutablePointer(to: &map) {
            ioctl(file.raw, linux_FS_IOC_FIEMAP, UnsafeMutableRawPointer($0))
        }
        guard result == 0 else { throw .system(errno, "look for shared blocks of \(path)") }
        let mapped = Int(min(map.mapped, map.count))
        return withUnsafeBytes(of: map.extents) { Array($0.bindMemory(to: linux_extent.self).prefix(mapped)) }
    }
}
