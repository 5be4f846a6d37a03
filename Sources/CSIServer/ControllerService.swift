package import CSIProto
import DeviceManager
package import GRPCCore
import SwiftProtobuf

/// The controller calls (CSI section "Controller Service RPC"): parse, hold the volume in the gate, ask the pool, answer.
///
/// The same in all modes: what differs is the pool. What its volumes cannot do is neither advertised nor done.
package struct ControllerService: Csi_V1_Controller.SimpleServiceProtocol {
    let pool: any VolumePool
    let gate: OperationGate

    package init(pool: any VolumePool, gate: OperationGate) {
        self.pool = pool
        self.gate = gate
    }

    package func createVolume(
        request: Csi_V1_CreateVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_CreateVolumeResponse {
        let wanted = try CreateRequest(request, defaults: pool.defaultParameters, reach: pool.reach)
        try pool.checkReady()
        let keys = Set(wanted.keys.map { pool.key(forID: $0) }).union([pool.key(forName: wanted.name)])
        let record = try await CallSecrets.$current.withValue(request.secrets) {
            try await gate.run(holding: keys) { try await pool.create(wanted) }
        }
        return .with { $0.volume = message(record) }
    }

    package func deleteVolume(
        request: Csi_V1_DeleteVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_DeleteVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        try FieldLimits.map(request.secrets, "secrets")
        // Nothing of ours ever had another form, so a volume of that id is certainly gone.
        guard let id = pool.volumeID(text) else { return .init() }
        try pool.checkReady()
        try await CallSecrets.$current.withValue(request.secrets) {
            try await gate.run(pool.key(forID: text)) { try await pool.delete(id) }
        }
        return .init()
    }

    package func listVolumes(
        request: Csi_V1_ListVolumesRequest, context: ServerContext
    ) async throws -> Csi_V1_ListVolumesResponse {
        let wanted = try Page(maxEntries: request.maxEntries, startingToken: request.startingToken, pool)
        try pool.checkReady()
        let page = try await pool.volumes(after: wanted.last, limit: wanted.limit)
        return .with { response in
            response.entries = page.volumes.map { record in
                .with {
                    $0.volume = message(record)
                    $0.status.publishedNodeIds = record.publishedNodes
                }
            }
            if page.hasMore { response.nextToken = page.volumes.last?.id ?? "" }
        }
    }

    package func controllerGetVolume(
        request: Csi_V1_ControllerGetVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerGetVolumeResponse {
        let id = try volumeID(try FieldLimits.required(request.volumeID, "volume_id"))
        try pool.checkReady()
        guard let record = try await pool.volume(id), record.kind == .volume else { throw notFound(id.rawValue) }
        return .with {
            $0.volume = message(record)
            $0.status.publishedNodeIds = record.publishedNodes
        }
    }

    package func getCapacity(
        request: Csi_V1_GetCapacityRequest, context: ServerContext
    ) async throws -> Csi_V1_GetCapacityResponse {
        try FieldLimits.map(request.parameters, "parameters")
        let parameters = try VolumeParameters.makeable(request.parameters, defaults: pool.defaultParameters)
        let capabilities = try request.volumeCapabilities.map { try VolumeCapability($0, "volume_capabilities") }
        try pool.checkReady()
        // Of volumes that cannot be made there is no room at all.
        guard let parameters, capabilities.allSatisfy({ $0.problem(pool.reach) == nil }) else { return .init() }
        let segments = request.hasAccessibleTopology ? request.accessibleTopology.segments : nil
        let capacity = try await pool.capacity(for: parameters, segments: segments)
        return .with {
            $0.availableCapacity = Int64(clamping: capacity.available)
            $0.maximumVolumeSize = .init(Int64(clamping: capacity.maximumVolumeSize))
            $0.minimumVolumeSize = .init(Int64(clamping: capacity.minimumVolumeSize))
        }
    }

    package func controllerGetCapabilities(
        request: Csi_V1_ControllerGetCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerGetCapabilitiesResponse {
        var types: [Csi_V1_ControllerServiceCapability.RPC.TypeEnum] = [
            .createDeleteVolume, .publishUnpublishVolume, .publishReadonly, .listVolumes, .listVolumesPublishedNodes,
            .getCapacity, .getVolume, .modifyVolume, .singleNodeMultiWriter,
        ]
        if pool.canSnapshot { types += [.createDeleteSnapshot, .listSnapshots, .getSnapshot, .cloneVolume] }
        if pool.canExpand { types.append(.expandVolume) }
        return .with { response in response.capabilities = types.map { type in .with { $0.rpc.type = type } } }
    }
}

// What the calls have in common.
extension ControllerService {
    func notFound(_ text: String) -> RequestError { RequestError(.notFound, "volume \"\(text)\" does not exist") }

    func volumeID(_ text: String) throws(RequestError) -> VolumeID {
        guard let id = pool.volumeID(text) else { throw notFound(text) }
        return id
    }

    func context(_ record: VolumeRecord) -> [String: String] {
        record.remote?.context
            ?? record.parameters.context.merging(record.name.isEmpty ? [:] : ["name": record.name]) { $1 }
    }

    private func message(_ record: VolumeRecord) -> Csi_V1_Volume {
        .with {
            $0.volumeID = record.id
            $0.capacityBytes = Int64(clamping: record.size)
            $0.volumeContext = context(record)
            $0.accessibleTopology = pool.topology(of: record).map { [$0.message] } ?? []
            switch record.source {
            case .snapshot(let id): $0.contentSource.snapshot.snapshotID = id
            case .volume(let id): $0.contentSource.volume.volumeID = id
            case nil: break
            }
        }
    }
}

extension VolumeRecord {
    fileprivate var publishedNodes: [String] { remote?.publishedNodes ?? publication.map { [$0.node] } ?? [] }
}
