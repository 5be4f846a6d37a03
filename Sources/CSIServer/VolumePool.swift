package import DeviceManager

/// The volume seam: where volumes live, on this machine or on nodes found through the registry, is the one difference
/// between the driver's modes.
///
/// Callers hold the volume's place in the `OperationGate`.
package protocol VolumePool: Sendable {
    /// Whether the pool can work; `unavailable` while it is starting, `failedPrecondition` while it cannot.
    func checkReady() throws(RequestError)

    /// What a creation of `name` holds in the gate.
    func key(forName name: String) -> String

    func create(_ request: CreateRequest) async throws -> VolumeRecord
    func delete(_ id: VolumeID) async throws
    func publish(_ id: VolumeID, _ publication: VolumeRecord.Publication) async throws
    /// Takes the publication to `node` back (nil: to whatever node).
    func unpublish(_ id: VolumeID, node: String?) async throws
    func volume(_ id: VolumeID) async throws -> VolumeRecord?
    /// Up to `limit` volumes (0: all) whose ids come after `id`, in the order of their ids.
    func volumes(after id: VolumeID?, limit: Int) async throws -> (volumes: [VolumeRecord], hasMore: Bool)
    /// Room for volumes, here or in one topology segment.
    func capacity(for parameters: VolumeParameters, segments: [String: String]?) async throws -> Capacity
}
