import FoundationEssentials
import Glibc

/// A directory of small files that survive a loss of power, each whole or not there; locked against a second driver.
///
/// Owned by those who keep records in it. Its methods block.
package final class RecordDirectory: Sendable {
    package let path: String
    /// Of files that are being written; what a crash left of them goes with the next start.
    private static let unfinished = ".tmp"
    /// Held open for its lock: two drivers on one directory would undo each other's work.
    private let handle: CInt

    /// Makes the directory if its parent exists.
    ///
    /// Throws `unavailable` while another process uses it.
    package init(_ path: String) throws(DeviceError) {
        self.path = path
        guard mkdir(path, 0o750) == 0 || errno == EEXIST else { throw Self.failure("create", path) }
        handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw Self.failure("open", path) }
        guard flock(handle, LOCK_EX | LOCK_NB) == 0 else {
            close(handle)
            throw DeviceError(.unavailable, "-statePath: \(path) is used by another process; stop that driver first")
        }
        for name in try names() where name.hasSuffix(".json" + Self.unfinished) { unlink("\(path)/\(name)") }
    }

    deinit {
        // Closing alone leaves the lock with a child that was just forked and has not closed its copy yet.
        flock(handle, LOCK_UN)
        close(handle)
    }

    /// In order.
    package func names() throws(DeviceError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw DeviceError(.failed, "-statePath: cannot list \(path)", cause: error)
        }
    }

    /// On disk before it returns: temporary file, fsync, rename, fsync of the directory.
    package func write(_ record: some Encodable, to name: String, of title: String) throws(DeviceError) {
        let path = "\(path)/\(name)"
        let temporary = path + Self.unfinished
        let bytes: Data
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
            bytes = try encoder.encode(record)
        } catch {
            throw DeviceError(.failed, "record of \(title) cannot be written as JSON", cause: error)
        }
        // O_TRUNC, not O_EXCL: what a crash left of an earlier attempt must not block the volume for ever.
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Self.failure("create", temporary) }
        defer { close(file) }
        let written = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        // Less than all is written where the file system is full.
        if written >= 0 && written < bytes.count { errno = ENOSPC }
        guard written == bytes.count, fsync(file) == 0 else {
            let failure = Self.failure("write", temporary)
            unlink(temporary)
            throw failure
        }
        guard rename(temporary, path) == 0 else { throw Self.failure("rename", temporary) }
        try sync()
    }

    /// One that is gone already is fine. Without `durably` it may be there again after a loss of power.
    package func remove(_ name: String, durably: Bool = true) throws(DeviceError) {
        let path = "\(path)/\(name)"
        guard unlink(path) == 0 || errno == ENOENT else { throw Self.failure("remove", path) }
        if durably { try sync() }
    }

    private func sync() throws(DeviceError) {
        guard fsync(handle) == 0 else { throw Self.failure("sync", path) }
    }

    private static func failure(_ verb: String, _ path: String) -> DeviceError {
        let isFull = errno == ENOSPC || errno == EDQUOT
        return DeviceError(
            isFull ? .notEnoughSpace : .failed,
            "-statePath: cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
