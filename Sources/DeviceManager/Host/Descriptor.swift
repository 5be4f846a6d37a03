import Glibc
import SystemPackage

/// An open file descriptor, closed with its owner.
struct Descriptor: ~Copyable {
    let raw: Int32

    init(adopting raw: Int32) {
        self.raw = raw
    }

    init(opening path: String, _ flags: Int32, mode: mode_t = 0) throws(Errno) {
        raw = Int32(try systemCall { Int(open(path, flags | O_CLOEXEC, mode)) })
    }

    deinit {
        _ = close(raw)
    }
}

extension Descriptor {
    /// The whole content of a file of unknown size, as those in /proc are.
    borrowing func readAll() throws(Errno) -> [UInt8] {
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try systemCall { read(raw, &buffer, buffer.count) }
            if count == 0 { return content }
            content += buffer[..<count]
        }
    }
}

extension Descriptor {
    /// Overwrites a range of the file or device at `path`.
    borrowing func writeZeroes(_ range: Range<UInt64>, _ path: String) throws(HostError) {
        let zeroes = [UInt8](repeating: 0, count: Int(min(1 << 20, range.upperBound - range.lowerBound)))
        var position = range.lowerBound
        while position < range.upperBound {
            let count = Int(min(UInt64(zeroes.count), range.upperBound - position))
            do throws(Errno) {
                position += UInt64(try systemCall { pwrite(raw, zeroes, count, off_t(position)) })
            } catch {
                throw .system(error.rawValue, "write zeroes to \(path) at offset \(position)")
            }
        }
    }
}

/// The result of a system call, which is made again while signals interrupt it.
func systemCall(_ body: () -> Int) throws(Errno) -> Int {
    while true {
        let result = body()
        if result >= 0 { return result }
        if errno != EINTR { throw Errno(rawValue: errno) }
    }
}
