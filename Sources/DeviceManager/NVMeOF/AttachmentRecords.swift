import FoundationEssentials
import Logging
import Synchronization

/// The records of the volumes that are attached to this node: one JSON file each in a directory, and a copy in memory.
///
/// Owned by `RemoteAttachments`. A change is on disk before `save` returns; a file that cannot be read is kept.
final class AttachmentRecords: Sendable {
    private struct State {
        var records: [String: AttachmentRecord] = [:]
        var unreadable: [String: DeviceError] = [:]
    }

    private let directory: RecordDirectory
    private let state: Mutex<State>

    init(directory: String, logger: Logger) throws(DeviceError) {
        self.directory = try RecordDirectory(directory)
        var state = State()
        for name in try self.directory.names() where name.hasSuffix(".json") {
            do {
                let bytes = try Data(contentsOf: URL(filePath: "\(directory)/\(name)"))
                let record = try JSONDecoder().decode(AttachmentRecord.self, from: bytes)
                state.records[record.id] = record
            } catch {
                let error = DeviceError(
                    .failedPrecondition,
                    "the record \(directory)/\(name) of an attached volume cannot be read; look at it, detach what it "
                        + "names by hand, and remove it", cause: error)
                logger.error("unreadable record: its volume is left alone", metadata: ["error": "\(error)"])
                state.unreadable[name] = error
            }
        }
        self.state = Mutex(state)
    }

    /// In the order of their ids.
    var all: [AttachmentRecord] { state.withLock { $0.records.values.sorted { $0.id < $1.id } } }

    /// Throws `failedPrecondition` when there is one that cannot be read.
    func record(_ id: String) throws(DeviceError) -> AttachmentRecord? {
        let (record, error) = state.withLock { ($0.records[id], $0.unreadable[Self.file(id)]) }
        if let error { throw error }
        return record
    }

    func save(_ record: AttachmentRecord) throws(DeviceError) {
        var record = record
        record.time = Date().timeIntervalSince1970
        try directory.write(record, to: Self.file(record.id), of: "volume \(record.id)")
        state.withLock { $0.records[record.id] = record }
    }

    func remove(_ id: String) throws(DeviceError) {
        try directory.remove(Self.file(id))
        state.withLock { $0.records[id] = nil }
    }

    /// Ids hold colons, and anything else where somebody wrote them by hand.
    static func file(_ id: String) -> String { "\(VolumeID.hash(id, digits: 32)).json" }
}
