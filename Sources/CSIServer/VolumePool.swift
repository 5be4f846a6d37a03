package import DeviceManager

/// The volume seam: where volumes live, on this machine or on nodes found through the registry, is the one difference
/// between the driver's modes.
///
/// Callers hold the volume's place in the `OperationGate`, and that of a source.
package protocol VolumePool: Sendable {
    var readiness: Readiness { get }
    /// What a volume has where its StorageClass says nothing.
    var defaultParameters: VolumeParameters { get }
    /// Whether volumes can grow.
    var canExpand: Bool { get }
    /// Whether there are snapshots, restores and clones.
    var canSnapshot: Bool { get }

    /// Whether a volume is on one node, or every node reaches it.
    var reach: VolumeCapability.Reach { get }

    /// Where a volume can be reached; nil for everywhere.
    func topology(of record: VolumeRecord) -> Topology?

    /// An id received from outside; nil when no volume of this pool could ever have it.
    func volumeID(_ text: String) -> VolumeID?

    /// What a creation of `name` holds in the gate.
    func key(forName name: String) -> String
    func key(forSnapshot name: String) -> String

    func create(_ request: CreateRequest) async throws -> VolumeRecord
    func delete(_ id: VolumeID) async throws
    /// What it answers is for the node, as the publish context.
    func publish(_ id: VolumeID, _ request: PublishRequest) async throws -> [String: String]
    /// Takes the publication to `node` back (nil: to whatever node).
    func unpublish(_ id: VolumeID, node: String?) async throws
    func volume(_ id: VolumeID) async throws -> VolumeRecord?
    /// Up to `limit` volumes (0: all) whose ids come after `id`, in the order of their ids.
    func volumes(after id: VolumeID?, limit: Int) async throws -> (volumes: [VolumeRecord], hasMore: Bool)
    /// Room for volumes, here or in one topology segment.
    func capacity(for parameters: VolumeParameters, segments: [String: String]?) async throws -> Capacity
    /// Grows a volume into the range; one that is there already stays as it is.
    func expand(_ id: VolumeID, to size: SizeRange) async throws -> VolumeRecord
    func modify(_ id: VolumeID, _ changes: MutableParameters) async throws

    func createSnapshot(_ request: SnapshotRequest) async throws -> VolumeRecord
    func deleteSnapshot(_ id: VolumeID) async throws
    func snapshot(_ id: VolumeID) async throws -> VolumeRecord?
    /// As `volumes`; of one source volume only, unless that is nil.
    func snapshots(
        source: String?, after id: VolumeID?, limit: Int
    ) async throws -> (volumes: [VolumeRecord], hasMore: Bool)
}

/// Whether a pool can work.
package enum Readiness: Sendable {
    case starting
    case ready
    /// It cannot, for this reason, and goes on trying.
    case failed(String)
}

extension VolumePool {
    package var reach: VolumeCapability.Reach { .node }
    package func volumeID(_ text: String) -> VolumeID? { VolumeID(text) }

    /// Throws `unavailable` while the pool cannot work: to a provisioner every other code would say that no volume was
    /// made, now or by an earlier call.
    package func checkReady() throws(RequestError) { try readiness.check() }
}

extension Readiness {
    func check() throws(RequestError) {
        switch self {
        case .ready: return
        case .starting: throw RequestError(.unavailable, "the driver is still looking at its devices; try again")
        case .failed(let reason): throw RequestError(.unavailable, "the device manager does not work: \(reason)")
        }
    }
}

extension [VolumeRecord] {
    /// Those behind `id` that fit (0: all of them). In the order of their ids, so pages stay stable while others come
    /// and go.
    func page(after id: VolumeID?, limit: Int) -> (volumes: [VolumeRecord], hasMore: Bool) {
        let rest = filter { $0.id > id?.rawValue ?? "" }
        guard limit > 0, rest.count > limit else { return (rest, false) }
        return (Array(rest.prefix(limit)), true)
    }
}
