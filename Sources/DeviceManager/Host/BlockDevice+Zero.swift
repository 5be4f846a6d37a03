import CLinux
import Glibc
import SystemPackage

extension BlockDevice {
    /// Where file systems, partition tables, LVM and RAID keep their signatures.
    private static let endSize: UInt64 = 1 << 20
    /// A multiple of every logical block size.
    private static let alignment: UInt64 = 4096

    /// Zeroes the first and the last MiB, durably. Nothing may have the device mounted or claimed.
    package func zeroEnds() throws(HostError) {
        let device = try opened(O_RDWR | O_EXCL)
        for range in Self.ends(of: try sizeAboveZero(of: device)) {
            try device.writeZeroes(range, path)
        }
        try flush(device)
    }

    /// Zeroes the last MiB of what was added behind `oldSize`, durably. The device may be mounted; the pages that this
    /// leaves in its cache go away, because file systems that bypass it would not change them.
    package func zeroEnd(addedTo oldSize: UInt64) throws(HostError) {
        let device = try opened(O_RDWR)
        let size = try sizeAboveZero(of: device)
        guard oldSize < size else { return }
        try device.writeZeroes(max(oldSize, size - min(Self.endSize, size))..<size, path)
        try flush(device)
        posix_fadvise(device.raw, 0, 0, POSIX_FADV_DONTNEED)
    }

    package func endsAreZero() throws(HostError) -> Bool {
        let device = try opened(O_RDONLY)
        for range in Self.ends(of: try sizeAboveZero(of: device)) {
            guard try isZero(device, range) else { return false }
        }
        return true
    }

    /// Overwrites the device with zeroes from `offset` to its end. After each chunk, which is then on the medium,
    /// `progress` gets the offset reached and says whether to go on; the result tells whether the end was reached.
    package func erase(
        from offset: UInt64 = 0, chunk: UInt64 = 64 << 20, progress: (UInt64) throws -> Bool
    ) throws -> Bool {
        let device = try opened(O_RDWR | O_EXCL)
        let size = try sizeAboveZero(of: device)
        guard offset <= size, chunk >= Self.alignment else {
            let what = "offset \(offset) and chunk \(chunk) do not fit its size \(size)"
            throw HostError(.invalidArgument, "cannot erase \(path): \(what)")
        }
        var position = Self.aligned(offset)
        while position < size {
            let end = position + min(Self.aligned(chunk), size - position)
            try zeroOut(device, position..<end)
            try flush(device)
            position = end
            guard try progress(position) else { return position == size }
        }
        return true
    }

    /// The two ends, which meet or overlap on a small device.
    private static func ends(of size: UInt64) -> [Range<UInt64>] {
        let head = min(endSize, size)
        let tail = max(head, size - head)
        return [0..<head, tail..<size].filter { !$0.isEmpty }
    }

    private static func aligned(_ value: UInt64) -> UInt64 {
        value / alignment * alignment
    }
}

extension BlockDevice {
    /// BLKZEROOUT writes zeroes, where BLKDISCARD would only permit the device to forget.
    private func zeroOut(_ device: borrowing Descriptor, _ range: Range<UInt64>) throws(HostError) {
        var argument = (range.lowerBound, range.upperBound - range.lowerBound)
        let result = withUnsafeMutablePointer(to: &argument) {
            ioctl(device.raw, linux_BLKZEROOUT, UnsafeMutableRawPointer($0))
        }
        if result == 0 { return }
        guard errno == EOPNOTSUPP || errno == ENOTTY else {
            throw .system(errno, "erase \(path) at offset \(range.lowerBound)")
        }
        try device.writeZeroes(range, path)
    }

    /// The range is at most one end long, so it is compared in one piece.
    private func isZero(_ device: borrowing Descriptor, _ range: Range<UInt64>) throws(HostError) -> Bool {
        var content = [UInt8](repeating: 0, count: Int(range.upperBound - range.lowerBound))
        var position = range.lowerBound
        while position < range.upperBound {
            let rest = Int(range.upperBound - position)
            let count: Int
            do throws(Errno) {
                count = try systemCall { pread(device.raw, &content, rest, off_t(position)) }
            } catch {
                throw .system(error.rawValue, "read \(path) at offset \(position)")
            }
            guard count > 0 else { throw HostError(.failed, "device \(path) ended early; it was made smaller") }
            guard content[..<count].isZero else { return false }
            position += UInt64(count)
        }
        return true
    }

    private func flush(_ device: borrowing Descriptor) throws(HostError) {
        guard fsync(device.raw) == 0 else { throw .system(errno, "flush \(path)") }
    }
}

extension ArraySlice<UInt8> {
    /// The bytes start with zero and equal themselves moved by one: memcmp says so at memory speed.
    fileprivate var isZero: Bool {
        withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress, bytes.count > 0 else { return true }
            return bytes[0] == 0 && memcmp(start, start + 1, bytes.count - 1) == 0
        }
    }
}
