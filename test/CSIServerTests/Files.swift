import Glibc

struct SystemFailure: Error, CustomStringConvertible {
    let description: String
    let number: Int32

    init(_ operation: String) {
        number = errno
        description = "\(operation): \(String(cString: strerror(number)))"
    }
}

func makeDirectory(_ path: String) throws -> String {
    guard mkdir(path, 0o750) == 0 else { throw SystemFailure("mkdir \(path)") }
    return path
}

/// Writes bytes to a file or device at an offset.
func write(_ bytes: [UInt8], to path: String, at offset: UInt64 = 0) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw SystemFailure("open \(path)") }
    defer { close(file) }
    guard pwrite(file, bytes, bytes.count, off_t(offset)) == bytes.count, fsync(file) == 0 else {
        throw SystemFailure("write \(path)")
    }
}

func read(_ count: Int, from path: String, at offset: UInt64 = 0) throws -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw SystemFailure("open \(path)") }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: count)
    guard pread(file, &bytes, count, off_t(offset)) == count else { throw SystemFailure("read \(path)") }
    return bytes
}

func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
