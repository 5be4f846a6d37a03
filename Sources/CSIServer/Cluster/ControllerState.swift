package import DeviceManager
import FoundationEssentials
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

    /// Held for its lock.
    private let root: RecordDirectory
    private let directories: [Kind: RecordDirectory]
    private let notes: Mutex<[Kind: [String: String]]>

    /// Reads the directory, making it if its parent exists; throws `unavailable` while another process uses it.
    package init(directory: String) throws(DeviceError) {
        root = try RecordDirectory(directory)
        var directories: [Kind: RecordDirectory] = [:]
        for kind in Kind.allCases { directories[kind] = try RecordDirectory("\(directory)/\(kind.rawValue)") }
        self.directories = directories
        notes = Mutex(directories.mapValues(Self.load))
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

    private func file(_ key: String) -> String { "\(VolumeID.hash(key, digits: 32)).json" }

    private func write(_ kind: Kind, _ key: String, _ value: String) throws(DeviceError) {
        try directories[kind]?.write(Note(key: key, value: value), to: file(key), of: "\(kind.rawValue): \(key)")
        notes.withLock { $0[kind, default: [:]][key] = value }
    }

    /// Not made durable: a note that comes back after a crash only names a node that knows the answer.
    private func remove(_ kind: Kind, _ key: String) {
        guard notes.withLock({ $0[kind]?.removeValue(forKey: key) }) != nil else { return }
        try? directories[kind]?.remove(file(key), durably: false)
    }

    private static func load(_ directory: RecordDirectory) -> [String: String] {
        let names = (try? directory.names()) ?? []
        let notes = names.filter { $0.hasSuffix(".json") }.compactMap { name -> Note? in
            guard let bytes = try? Data(contentsOf: URL(filePath: "\(directory.path)/\(name)")) else { return nil }
            return try? JSONDecoder().decode(Note.self, from: bytes)
        }
        return Dictionary(notes.map { ($0.key, $0.value) }) { first, _ in first }
    }
}
