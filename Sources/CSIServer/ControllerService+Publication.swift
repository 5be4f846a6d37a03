package import CSIProto
import DeviceManager
package import GRPCCore
import SwiftProtobuf

// Giving a volume to a node, and what it could be given as.
extension ControllerService {
    package func controllerPublishVolume(
        request: Csi_V1_ControllerPublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerPublishVolumeResponse {
        let wanted = try PublishRequest(request, reach: pool.reach)
        let id = try volumeID(request.volumeID)
        try pool.checkReady()
        let context = try await CallSecrets.$current.withValue(request.secrets) {
            try await gate.run(pool.key(forID: request.volumeID)) { try await pool.publish(id, wanted) }
        }
        return .with { $0.publishContext = context }
    }

    package func controllerUnpublishVolume(
        request: Csi_V1_ControllerUnpublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerUnpublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        if !request.nodeID.isEmpty {
            _ = try FieldLimits.required(request.nodeID, "node_id", limit: FieldLimits.nodeID)
        }
        try FieldLimits.map(request.secrets, "secrets")
        guard let id = pool.volumeID(text) else { return .init() }
        try pool.checkReady()
        let node = request.nodeID.isEmpty ? nil : request.nodeID
        try await CallSecrets.$current.withValue(request.secrets) {
            try await gate.run(pool.key(forID: text)) { try await pool.unpublish(id, node: node) }
        }
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
        let record = try await CallSecrets.$current.withValue(request.secrets) {
            try await existing(try volumeID(text))
        }
        if let problem = capabilities.lazy.compactMap({ $0.problem(pool.reach) }).first {
            return .with { $0.message = problem }
        }
        if let problem = contradiction(record, request) { return .with { $0.message = problem } }
        return .with { response in
            response.confirmed.volumeCapabilities = request.volumeCapabilities
            response.confirmed.volumeContext = request.volumeContext
            response.confirmed.parameters = request.parameters
            response.confirmed.mutableParameters = request.mutableParameters
        }
    }

    private func existing(_ id: VolumeID) async throws -> VolumeRecord {
        try pool.checkReady()
        guard let record = try await pool.volume(id), record.kind == .volume,
            [.ready, .promised].contains(record.phase)
        else {
            throw notFound(id.rawValue)
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
            try parameters.apply(try MutableParameters(request.mutableParameters, pool.defaultParameters).values)
            // A storage node does not say with which parameters its volumes were made.
            return parameters == record.parameters || record.remote != nil
                ? nil : "parameters: the volume was made with others"
        } catch {
            return "\(error)"
        }
    }
}
