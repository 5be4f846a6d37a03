import Glibc
import Host

/// Tries again while a mount is busy: a program that another test just forked holds the files of this one until its
/// exec. The suites' time limits end what never becomes free.
func whileBusy(_ body: () throws -> Void) async throws {
    while true {
        do {
            return try body()
        } catch let error as HostError where error.code == .busy {
            try Task.checkCancellation()
            await Task.yield()
        }
    }
}

/// Writes bytes to a file or device at an offset.
func write(_ bytes: [UInt8], to path: String, at offset: UInt64 = 0) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw HostError(.failed, "open \(path)", errno: errno) }
    defer { close(file) }
    guard pwrite(file, bytes, bytes.count, off_t(offset)) == bytes.count, fsync(file) == 0 else {
        throw HostError(.failed, "write \(path)", errno: errno)
    }
}

func read(_ count: Int, from path: String, at offset: UInt64 = 0) throws -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw HostError(.failed, "open \(path)", errno: errno) }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: count)
    guard pread(file, &bytes, count, off_t(offset)) == count else {
        throw HostError(.failed, "read \(path)", errno: errno)
    }
    return bytes
}

/// The code of the HostError that the body throws; nil when it throws none.
func code(of body: () async throws -> Void) async -> HostError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? HostError)?.code
    }
}
