package import CSIProto
import DeviceManager
package import GRPCCore
import SwiftProtobuf

/// The controller calls (CSI section "Controller Service RPC"): parse, hold the volume in the gate, ask the pool, answer.
///
/// The same in all modes: what differs is the pool.
package struct ControllerService: Csi_V1_Controller.SimpleServiceProtocol {
    private let pool: any VolumePool
    private let gate: OperationGate
    private let topology: Topology

    package init(pool: any VolumePool, gate: OperationGate, topology: Topology) {
        self.pool = pool
        self.gate = gate
        self.topology = topology
    }

    package func createVolume(
        request: Csi_V1_CreateVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_CreateVolumeResponse {
        let wanted = try CreateRequest(request)
        try pool.checkReady()
        let record = try await gate.run(pool.key(forName: wanted.name)) { try await pool.create(wanted) }
        return .with { $0.volume = message(record) }
    }

    package func deleteVolume(
        request: Csi_V1_DeleteVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_DeleteVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        try FieldLimits.map(request.secrets, "secrets")
        // Nothing of ours ever had another form, so a volume of that id is certainly gone.
        guard let id = VolumeID(text) else { return .init() }
        try pool.checkReady()
        try await gate.run(text) { try await pool.delete(id) }
        return .init()
    }

    package func controllerPublishVolume(
        request: Csi_V1_ControllerPublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerPublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let node = try FieldLimits.required(request.nodeID, "node_id", limit: FieldLimits.nodeID)
        let capability = try VolumeCapability(
            supported: request.volumeCapability, isPresent: request.hasVolumeCapability)
        try FieldLimits.map(request.secrets, "secrets")
        try FieldLimits.map(request.volumeContext, "volume_context")
        let id = try volumeID(text)
        try pool.checkReady()
        let publication = VolumeRecord.Publication(
            node: node, readOnly: request.readonly, capability: capability.text)
        try await gate.run(text) { try await pool.publish(id, publication) }
        return .init()
    }

    package func controllerUnpublishVolume(
        request: Csi_V1_ControllerUnpublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerUnpublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        if !request.nodeID.isEmpty {
            _ = try FieldLimits.required(request.nodeID, "node_id", limit: FieldLimits.nodeID)
        }
        try FieldLimits.map(request.secrets, "secrets")
        guard let id = VolumeID(text) else { return .init() }
        try pool.checkReady()
        let node = request.nodeID.isEmpty ? nil : request.nodeID
        try await gate.run(text) { try await pool.unpublish(id, node: node) }
        return .init()
    }

    package func validateVolumeCapabilities(
        request: Csi_V1_ValidateVolumeCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_ValidateVolumeCapabilitiesResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let capabilities = try CreateRequest.capabilities(request.volumeCapabilities)
        try FieldLimits.map(request.volumeContext, "volume_context")
        try FieldLimits.map(request.parameters, "parameters")
        try FieldLimits.map(request.mutableParameters, "mutable_parameters")
        try FieldLimits.map(request.secrets, "secrets")
        let record = try await existing(try volumeID(text))
        if let problem = capabilities.compactMap(\.problem).first { return .with { $0.message = problem } }
        if let problem = contradiction(record, request) { return .with { $0.message = problem } }
        return .with { response in
            response.confirmed.volumeCapabilities = request.volumeCapabilities
            response.confirmed.volumeContext = request.volumeContext
            response.confirmed.parameters = request.parameters
            response.confirmed.mutableParameters = request.mutableParameters
        }
    }

    package func listVolumes(
        request: Csi_V1_ListVolumesRequest, context: ServerContext
    ) async throws -> Csi_V1_ListVolumesResponse {
        guard request.maxEntries >= 0 else {
            throw RequestError(.invalidArgument, "max_entries is \(request.maxEntries); it may not be negative")
        }
        // The token is the last id of the page before, so volumes that come and go between pages do no harm.
        let last = VolumeID(request.startingToken)
        guard last != nil || request.startingToken.isEmpty else {
            throw RequestError(
                .aborted, "starting_token \"\(request.startingToken.prefix(128))\" is not one of ours; begin anew")
        }
        try pool.checkReady()
        let page = try await pool.volumes(after: last, limit: Int(request.maxEntries))
        return .with { response in
            response.entries = page.volumes.map { record in
                .with {
                    $0.volume = message(record)
                    $0.status.publishedNodeIds = record.publication.map { [$0.node] } ?? []
                }
            }
            if page.hasMore { response.nextToken = page.volumes.last?.id ?? "" }
        }
    }

    package func getCapacity(
        request: Csi_V1_GetCapacityRequest, context: ServerContext
    ) async throws -> Csi_V1_GetCapacityResponse {
        try FieldLimits.map(request.parameters, "parameters")
        let parameters = try VolumeParameters(request.parameters)
        let capabilities = try request.volumeCapabilities.map { try VolumeCapability($0, "volume_capabilities") }
        try pool.checkReady()
        // Of volumes that cannot be made there is no room at all.
        guard capabilities.allSatisfy({ $0.problem == nil }) else { return .init() }
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
        let types: [Csi_V1_ControllerServiceCapability.RPC.TypeEnum] = [
            .createDeleteVolume, .publishUnpublishVolume, .publishReadonly, .listVolumes, .listVolumesPublishedNodes,
            .getCapacity, .singleNodeMultiWriter,
        ]
        return .with { response in response.capabilities = types.map { type in .with { $0.rpc.type = type } } }
    }
}

extension ControllerService {
    private func volumeID(_ text: String) throws(RequestError) -> VolumeID {
        guard let id = VolumeID(text) else { throw RequestError(.notFound, "volume \"\(text)\" does not exist") }
        return id
    }

    private func existing(_ id: VolumeID) async throws -> VolumeRecord {
        try pool.checkReady()
        guard let record = try await pool.volume(id), record.phase == .ready else {
            throw RequestError(.notFound, "volume \(id) does not exist")
        }
        return record
    }

    /// What the request says of the volume and is not so; nil when all holds.
    private func contradiction(
        _ record: VolumeRecord, _ request: Csi_V1_ValidateVolumeCapabilitiesRequest
    ) -> String? {
        let own = context(record)
        for (key, value) in request.volumeContext where own[key] != nil && own[key] != value {
            return "volume_context: \(key) is \"\(own[key] ?? "")\", not \"\(value)\""
        }
        do {
            var parameters = record.parameters
            try parameters.apply(request.parameters)
            try parameters.apply(request.mutableParameters)
            return parameters == record.parameters ? nil : "parameters: the volume was made with others"
        } catch {
            return error.message
        }
    }

    private func context(_ record: VolumeRecord) -> [String: String] {
        record.parameters.context.merging(record.name.isEmpty ? [:] : ["name": record.name]) { $1 }
    }

    private func message(_ record: VolumeRecord) -> Csi_V1_Volume {
        .with {
            $0.volumeID = record.id
            $0.capacityBytes = Int64(clamping: record.size)
            $0.volumeContext = context(record)
            $0.accessibleTopology = [topology.message]
        }
    }
}
