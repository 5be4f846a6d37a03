import FoundationEssentials
import Glibc
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

    private let directory: String
    /// Held open for its lock: two drivers on one directory would undo each other's work.
    private let handle: CInt
    private let state: Mutex<State>
    package let notice = ChangeNotice()

    /// Reads the directory, making it if its parent exists.
    ///
    /// Throws `unavailable` while another process uses it.
    package init(directory: String, logger: Logger) throws(DeviceError) {
        self.directory = directory
        handle = try Self.lockedDirectory(directory)
        state = Mutex(try Self.load(directory, logger: logger))
    }

    deinit {
        // Closing alone leaves the lock with a child that was just forked and has not closed its copy yet.
        flock(handle, LOCK_UN)
        close(handle)
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
        try write(record)
        state.withLock { $0.records[id] = record }
        notice.post()
    }

    /// Removes the record; one that is gone already is fine.
    package func remove(_ id: VolumeID) throws(DeviceError) {
        let path = self.path(id)
        guard unlink(path) == 0 || errno == ENOENT else { throw Self.failure("remove", path) }
        try syncDirectory()
        state.withLock { $0.records[id] = nil }
        notice.post()
    }

    private func path(_ id: VolumeID) -> String { "\(directory)/\(id).json" }

    private func write(_ record: VolumeRecord) throws(DeviceError) {
        let path = "\(directory)/\(record.id).json"
        let temporary = path + ".tmp"
        let bytes: Data
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
            bytes = try encoder.encode(record)
        } catch {
            throw DeviceError(.failed, "record of volume \(record.id) cannot be written as JSON", cause: error)
        }
        // O_TRUNC, not O_EXCL: what a crash left of an earlier attempt must not block the volume for ever.
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Self.failure("create", temporary) }
        defer { close(file) }
        let written = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        guard written == bytes.count, fsync(file) == 0 else { throw Self.failure("write", temporary) }
        guard rename(temporary, path) == 0 else { throw Self.failure("rename", temporary) }
        try syncDirectory()
    }

    private func syncDirectory() throws(DeviceError) {
        guard fsync(handle) == 0 else { throw Self.failure("sync", directory) }
    }
}

extension VolumeRecords {
    private static func lockedDirectory(_ directory: String) throws(DeviceError) -> CInt {
        guard mkdir(directory, 0o750) == 0 || errno == EEXIST else { throw failure("create", directory) }
        let handle = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw failure("open", directory) }
        guard flock(handle, LOCK_EX | LOCK_NB) == 0 else {
            close(handle)
            throw DeviceError(
                .unavailable, "-statePath: \(directory) is used by another process; stop that driver first")
        }
        return handle
    }

    private static func load(_ directory: String, logger: Logger) throws(DeviceError) -> State {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw DeviceError(.failed, "-statePath: cannot list \(directory)", cause: error)
        }
        var state = State()
        for name in names.sorted() where name.hasSuffix(".json") {
            guard let id = VolumeID(String(name.dropLast(5))) else {
                logger.warning("not a volume's record: left alone", metadata: ["file": "\(directory)/\(name)"])
                continue
            }
            do {
                state.records[id] = try read("\(directory)/\(name)", id: id)
            } catch {
                logger.error("unreadable record: its volume is left alone", metadata: ["error": "\(error)"])
                state.unreadable[id] = error
            }
        }
        logger.info("read the records", metadata: ["directory": "\(directory)", "volumes": "\(state.records.count)"])
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

    private static func failure(_ verb: String, _ path: String) -> DeviceError {
        DeviceError(.failed, "-statePath: cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
