package import DeviceManager
import FoundationEssentials
package import Logging
import Registry
import Synchronization

/// The volumes of this machine: a device manager and the records of what it cannot hold.
///
/// Every change is recorded before the device is touched, so that a call cut off anywhere is finished or taken back by
/// its repetition or by the next start.
package final class LocalPool: VolumePool {
    let manager: any DeviceManager
    /// The one that new volumes are made with; `manager` knows those of others besides.
    let own: any DeviceManager
    let records: VolumeRecords
    package let topology: Topology
    /// Erasures and copies that are under way.
    package let board: WorkBoard
    let shutdown: OnceFlag
    let logger: Logger
    /// What the device manager can do besides; nil where it cannot.
    let expanding: (any Expanding)?
    let snapshotting: (any Snapshotting)?
    /// How long the writers of a mounted file system may have to wait for a copy of it.
    let freezeLimit: Duration
    private let state = Mutex(Readiness.starting)

    package init(
        manager: any DeviceManager, records: VolumeRecords, topology: Topology, board: WorkBoard = WorkBoard(),
        freezeLimit: Duration = .seconds(10), shutdown: OnceFlag, logger: Logger
    ) {
        self.manager = manager
        self.records = records
        self.topology = topology
        self.board = board
        self.freezeLimit = freezeLimit
        self.shutdown = shutdown
        self.logger = logger
        own = (manager as? MixedDeviceManager)?.primary ?? manager
        expanding = own as? any Expanding
        snapshotting = own as? any Snapshotting
    }

    /// Whether there is nothing here that anybody could want to use.
    package var isEmpty: Bool { records.all.isEmpty }

    package var readiness: Readiness { state.withLock { $0 } }

    func set(_ state: Readiness) {
        self.state.withLock { $0 = state }
    }

    package var defaultParameters: VolumeParameters { manager.defaultParameters }
    package var canExpand: Bool { expanding != nil }
    package var canSnapshot: Bool { snapshotting != nil }

    package func topology(of record: VolumeRecord) -> Topology? { topology }

    package func key(forName name: String) -> String { id(forName: name).rawValue }

    func id(forName name: String) -> VolumeID { VolumeID(name: name, node: topology.node) }

    /// For the node service too, so ephemeral volumes are found, although no CSI volume has their ids.
    package func volume(_ id: VolumeID) throws -> VolumeRecord? {
        guard let record = try records.record(id), record.kind != .snapshot, record.phase != .creating else {
            return nil
        }
        return record
    }

    package func volumes(after id: VolumeID?, limit: Int) -> (volumes: [VolumeRecord], hasMore: Bool) {
        records.all.filter { $0.kind == .volume && $0.phase != .creating }.page(after: id, limit: limit)
    }

    package func capacity(for parameters: VolumeParameters, segments: [String: String]?) async throws -> Capacity {
        if let segments, !topology.matches(segments) { return Capacity() }
        return try await manager.capacity(for: parameters)
    }

    /// On disk before it returns, and off the cooperative pool meanwhile.
    func save(_ record: VolumeRecord) async throws(DeviceError) {
        try await blockingDevice { [records] in try records.save(record) }
    }

    /// The volume `id` as CSI knows it: it has a device, or is promised one.
    func usable(_ id: VolumeID) throws -> VolumeRecord {
        guard let record = try records.record(id), record.kind == .volume,
            [.ready, .promised].contains(record.phase)
        else {
            throw RequestError(.notFound, "volume \(id) does not exist")
        }
        try checkOwn(record)
        return record
    }

    /// Volumes that another device manager made are only taken down and deleted.
    func checkOwn(_ record: VolumeRecord) throws(DeviceError) {
        try (manager as? MixedDeviceManager)?.checkOwn(record.id, location: record.location)
    }

    /// Recorded, except for a volume of pmem-csi whose device was not seen yet.
    func location(of record: VolumeRecord, _ id: VolumeID) async throws -> String {
        if let location = record.location { return location }
        guard let volume = try await manager.volume(id, location: nil) else {
            throw RequestError(
                .unavailable, "volume \(id): its device was never seen; bring its region back and try again")
        }
        return volume.location
    }
}

extension VolumeRecord {
    /// What messages call it.
    var title: String { "\(kind == .snapshot ? "snapshot" : "volume") \(id)" }
}

/// What a node tells its controllers of its volumes.
extension LocalPool: VersionedVolumes {
    package var version: String { records.notice.version }

    package func changes() -> AsyncStream<Void> { records.notice.changes() }
}
