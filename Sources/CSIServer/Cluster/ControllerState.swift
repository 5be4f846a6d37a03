package import DeviceManager
import FoundationEssentials
import Glibc
import Synchronization

/// What a controller keeps on disk: which node is asked to make a volume of which name, until that is answered, and which
/// nodes were given up.
///
/// Owned by `ClusterPool`. One small file each, durable before the call that needs it goes out; a controller that lost
/// them only promises less.
package final class ControllerState: Sendable {
    private struct Note: Codable {
        let key: String
        let value: String
    }

    private enum Kind: String, CaseIterable {
        case creations, forgotten
    }

    private let directory: String
    /// Held open for its lock.
    private let handle: CInt
    private let notes: Mutex<[Kind: [String: String]]>

    /// Reads the directory, making it if its parent exists; throws `unavailable` while another process uses it.
    package init(directory: String) throws(DeviceError) {
        self.directory = directory
        guard mkdir(directory, 0o750) == 0 || errno == EEXIST else { throw Self.failure("create", directory) }
        handle = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw Self.failure("open", directory) }
        var all: [Kind: [String: String]] = [:]
        let isLocked = flock(handle, LOCK_EX | LOCK_NB) == 0
        if isLocked {
            for kind in Kind.allCases {
                let path = "\(directory)/\(kind.rawValue)"
                guard mkdir(path, 0o750) == 0 || errno == EEXIST else {
                    notes = Mutex([:])
                    throw Self.failure("create", path)
                }
                all[kind] = Self.load(path)
            }
        }
        notes = Mutex(all)
        guard isLocked else {
            throw DeviceError(
                .unavailable, "-statePath: \(directory) is used by another process; stop that driver first")
        }
    }

    deinit {
        flock(handle, LOCK_UN)
        close(handle)
    }

    /// The node that was asked to make the volume `name`, and has not given an answer that counts.
    package func creation(_ name: String) -> String? { notes.withLock { $0[.creations]?[name] } }

    package func begin(_ name: String, on node: String) throws(DeviceError) {
        guard creation(name) != node else { return }
        try write(.creations, name, node)
    }

    package func end(_ name: String) { remove(.creations, name) }

    package func isForgotten(_ nodeHash: String) -> Bool { notes.withLock { $0[.forgotten]?[nodeHash] != nil } }

    package var forgotten: [String] { notes.withLock { ($0[.forgotten] ?? [:]).values.sorted() } }

    package func forget(_ node: String) throws(DeviceError) { try write(.forgotten, VolumeID.nodeHash(node), node) }

    package func remember(_ node: String) { remove(.forgotten, VolumeID.nodeHash(node)) }

    package func endCreations(on node: String) {
        let names = notes.withLock { ($0[.creations] ?? [:]).filter { $0.value == node }.map(\.key) }
        for name in names { end(name) }
    }

    private func path(_ kind: Kind, _ key: String) -> String {
        "\(directory)/\(kind.rawValue)/\(VolumeID.hash(key, digits: 32)).json"
    }

    private func write(_ kind: Kind, _ key: String, _ value: String) throws(DeviceError) {
        let path = path(kind, key)
        let temporary = path + ".tmp"
        let bytes: Data
        do {
            bytes = try JSONEncoder().encode(Note(key: key, value: value))
        } catch {
            throw DeviceError(.failed, "-statePath: \(path) cannot be written as JSON", cause: error)
        }
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Self.failure("create", temporary) }
        defer { close(file) }
        let written = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        guard written == bytes.count, fsync(file) == 0 else { throw Self.failure("write", temporary) }
        guard rename(temporary, path) == 0 else { throw Self.failure("rename", temporary) }
        let folder = open("\(directory)/\(kind.rawValue)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw Self.failure("open", directory) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw Self.failure("sync", directory) }
        notes.withLock { $0[kind, default: [:]][key] = value }
    }

    /// Not made durable: a note that comes back after a crash only names a node that knows the answer.
    private func remove(_ kind: Kind, _ key: String) {
        guard notes.withLock({ $0[kind]?.removeValue(forKey: key) }) != nil else { return }
        unlink(path(kind, key))
    }

    private static func load(_ directory: String) -> [String: String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        let notes = names.filter { $0.hasSuffix(".json") }.compactMap { name -> Note? in
            guard let bytes = try? Data(contentsOf: URL(filePath: "\(directory)/\(name)")) else { return nil }
            return try? JSONDecoder().decode(Note.self, from: bytes)
        }
        return Dictionary(notes.map { ($0.key, $0.value) }) { first, _ in first }
    }

    private static func failure(_ verb: String, _ path: String) -> DeviceError {
        DeviceError(.failed, "-statePath: cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
