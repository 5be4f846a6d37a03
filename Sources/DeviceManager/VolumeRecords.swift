import FoundationEssentials
package import Logging
import Synchronization

/// The records of this machine's volumes: one JSON file per volume in a directory, and a copy in memory.
///
/// Owned by the pool of volumes. A change is on disk (temporary file, fsync, rename, fsync of the directory) before
/// `save` returns; a file that cannot be read is kept, and its volume is neither used nor deleted.
package final class VolumeRecords: Sendable {
    private struct State {
        var records: [VolumeID: VolumeRecord] = [:]
        var unreadable: [VolumeID: DeviceError] = [:]
    }

    private let directory: RecordDirectory
    private let state: Mutex<State>
    package let notice = ChangeNotice()

    /// Reads the directory, making it if its parent exists.
    ///
    /// Throws `unavailable` while another process uses it.
    package init(directory: String, logger: Logger) throws(DeviceError) {
        self.directory = try RecordDirectory(directory)
        state = Mutex(try Self.load(self.directory, logger: logger))
    }

    /// All that could be read, in the order of their ids.
    package var all: [VolumeRecord] {
        state.withLock { state in state.records.values.sorted { $0.id < $1.id } }
    }

    /// The record, or nil when there is none.
    ///
    /// Throws `failedPrecondition` when there is one that cannot be read.
    package func record(_ id: VolumeID) throws(DeviceError) -> VolumeRecord? {
        let (record, error) = state.withLock { ($0.records[id], $0.unreadable[id]) }
        if let error { throw error }
        return record
    }

    /// Puts the record on disk, then in memory.
    ///
    /// Throws `failed` when the file could not be made durable; the earlier record is then still in force.
    package func save(_ record: VolumeRecord) throws(DeviceError) {
        guard let id = VolumeID(record.id) else {
            throw DeviceError(.failed, "record of volume \"\(record.id)\": not an id of ours")
        }
        try directory.write(record, to: "\(id).json", of: "volume \(id)")
        state.withLock { $0.records[id] = record }
        notice.post()
    }

    /// Removes the record; one that is gone already is fine.
    package func remove(_ id: VolumeID) throws(DeviceError) {
        try directory.remove("\(id).json")
        state.withLock { $0.records[id] = nil }
        notice.post()
    }
}

extension VolumeRecords {
    private static func load(_ directory: RecordDirectory, logger: Logger) throws(DeviceError) -> State {
        var state = State()
        for name in try directory.names() where name.hasSuffix(".json") {
            guard let id = VolumeID(String(name.dropLast(5))) else {
                logger.warning("not a volume's record: left alone", metadata: ["file": "\(directory.path)/\(name)"])
                continue
            }
            do {
                state.records[id] = try read("\(directory.path)/\(name)", id: id)
            } catch {
                logger.error("unreadable record: its volume is left alone", metadata: ["error": "\(error)"])
                state.unreadable[id] = error
            }
        }
        logger.info(
            "read the records", metadata: ["directory": "\(directory.path)", "volumes": "\(state.records.count)"])
        return state
    }

    private static func read(_ path: String, id: VolumeID) throws(DeviceError) -> VolumeRecord {
        let decoder = JSONDecoder()
        do {
            let bytes = try Data(contentsOf: URL(filePath: path))
            let record = try? decoder.decode(VolumeRecord.self, from: bytes)
            if let record = try record ?? decoder.decode(ForeignRecord.self, from: bytes).record, record.id == "\(id)" {
                return record
            }
        } catch {
            throw DeviceError(.failedPrecondition, "volume \(id): its record \(path) cannot be read", cause: error)
        }
        throw DeviceError(.failedPrecondition, "volume \(id): its record \(path) is that of another volume")
    }
}
