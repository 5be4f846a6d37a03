import CLinux
import Glibc
import SystemPackage

/// Two open files or block devices, the first of which is copied over the second; owned by the one copy.
///
/// It bypasses the page cache: that of a block device does not show what a file system mounted on it wrote.
package struct ContentCopy: ~Copyable {
    private static let piece: UInt64 = 4 << 20
    /// What direct I/O asks of offsets, lengths and memory at most.
    private static let alignment: UInt64 = 4096

    private let source: Descriptor
    private let destination: Descriptor
    private let sourcePath: String
    private let path: String
    private let size: UInt64
    private let buffer: UnsafeMutableRawPointer

    package init(from sourcePath: String, to path: String, size: UInt64) throws(HostError) {
        let isAligned = size.isMultiple(of: Self.alignment)
        let source = try Self.opened(sourcePath, O_RDONLY, direct: isAligned)
        let destination = try Self.opened(path, O_RDWR, direct: isAligned)
        self.source = source
        self.destination = destination
        self.sourcePath = sourcePath
        self.path = path
        self.size = size
        buffer = .allocate(byteCount: Int(Self.piece), alignment: Int(Self.alignment))
        // For file systems without direct I/O; pages that are in use stay.
        posix_fadvise(self.source.raw, 0, 0, POSIX_FADV_DONTNEED)
    }

    deinit {
        buffer.deallocate()
    }

    /// Where the source has content: without the holes of a file; everything where it cannot tell.
    package func extents() throws(HostError) -> [Range<UInt64>] {
        var extents: [Range<UInt64>] = []
        var position: UInt64 = 0
        while position < size {
            do throws(Errno) {
                let start = UInt64(try systemCall { lseek(source.raw, off_t(position), linux_SEEK_DATA) })
                guard start < size else { break }
                let end = UInt64(try systemCall { lseek(source.raw, off_t(start), linux_SEEK_HOLE) })
                let aligned = max(position, start / Self.alignment * Self.alignment)
                position = min(size, (end + Self.alignment - 1) / Self.alignment * Self.alignment)
                extents.append(aligned..<position)
            } catch {
                // No data behind the position; a block device refuses the question.
                if error == .noSuchAddressOrDevice { break }
                if error == .invalidArgument && position == 0 { return [0..<size] }
                throw .system(error.rawValue, "look for the holes of \(sourcePath)")
            }
        }
        return extents
    }

    /// Copies these bytes. Before each piece `goOn` gets the offset reached; the result tells whether it came to the end.
    package func copy(_ range: Range<UInt64>, goOn: (UInt64) throws -> Bool) throws -> Bool {
        var position = range.lowerBound
        while position < range.upperBound {
            guard try goOn(position) else { return false }
            let end = min(position + Self.piece, range.upperBound)
            try copyPiece(position..<end)
            position = end
        }
        return true
    }

    /// What was copied survives a loss of power from here on.
    package func flush() throws(HostError) {
        guard fsync(destination.raw) == 0 else { throw .system(errno, "flush \(path)") }
    }

    private func copyPiece(_ range: Range<UInt64>) throws(HostError) {
        let length = range.upperBound - range.lowerBound
        try transfer(length, "read \(sourcePath) at offset \(range.lowerBound)") { done in
            pread(source.raw, buffer + Int(done), Int(length - done), off_t(range.lowerBound + done))
        }
        try transfer(length, "write \(path) at offset \(range.lowerBound)") { done in
            pwrite(destination.raw, buffer + Int(done), Int(length - done), off_t(range.lowerBound + done))
        }
    }

    private func transfer(_ length: UInt64, _ operation: String, _ body: (UInt64) -> Int) throws(HostError) {
        var done: UInt64 = 0
        while done < length {
            let count: Int
            do throws(Errno) {
                count = try systemCall { body(done) }
            } catch {
                throw .system(error.rawValue, operation)
            }
            guard count > 0 else { throw HostError(.failed, "cannot \(operation): it ends there") }
            done += UInt64(count)
        }
    }

    /// Not every file system has direct I/O.
    private static func opened(_ path: String, _ flags: Int32, direct: Bool) throws(HostError) -> Descriptor {
        do throws(Errno) {
            guard direct else { return try Descriptor(opening: path, flags) }
            do throws(Errno) {
                return try Descriptor(opening: path, flags | linux_O_DIRECT)
            } catch {
                guard error == .invalidArgument else { throw error }
                return try Descriptor(opening: path, flags)
            }
        } catch {
            throw .system(error.rawValue, "open \(path)")
        }
    }
}
