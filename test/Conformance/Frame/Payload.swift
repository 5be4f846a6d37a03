import Glibc

/// Bytes that can be recognised: a seed, and as many MiB as the seed's own random sequence fills.
struct Payload: Sendable, Equatable {
    let seed: UInt64
    var mebibytes = 2

    private var pieces: [[UInt8]] {
        var random = SplitMix64(seed: seed)
        return (0..<mebibytes).map { _ in
            var piece: [UInt8] = []
            piece.reserveCapacity(1 << 20)
            for _ in 0..<(1 << 17) { withUnsafeBytes(of: random.next()) { piece += $0 } }
            return piece
        }
    }

    /// Writes it at an offset of a file or device, down to the disk.
    func write(to path: String, at offset: Int64 = 0) throws {
        try Disk.opened(path, O_WRONLY | (Disk.isBlockDevice(path) ? 0 : O_CREAT)) { file in
            for (index, piece) in pieces.enumerated() {
                let count = pwrite(file, piece, piece.count, Int(offset) + index << 20)
                guard count == piece.count else { throw Disk.failure("write", path) }
            }
            guard fsync(file) == 0 else { throw Disk.failure("sync", path) }
        }
    }

    func isAt(_ path: String, offset: Int64 = 0) throws -> Bool {
        try Disk.opened(path, O_RDONLY) { file in
            var seen = [UInt8](repeating: 0, count: 1 << 20)
            return pieces.enumerated().allSatisfy { index, piece in
                pread(file, &seen, seen.count, Int(offset) + index << 20) == piece.count && seen == piece
            }
        }
    }

    /// It must be what is read there.
    func check(_ path: String, at offset: Int64 = 0, _ what: String) throws {
        try require(try isAt(path, offset: offset), "\(what): \(path) does not hold what was written")
    }
}
