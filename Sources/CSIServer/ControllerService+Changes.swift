package import CSIProto
import DeviceManager
package import GRPCCore
import SwiftProtobuf

// Changing a volume that exists.
extension ControllerService {
    package func controllerExpandVolume(
        request: Csi_V1_ControllerExpandVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerExpandVolumeResponse {
        guard pool.canExpand else { throw RequestError(unimplemented: context) }
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let size = try SizeRange(request.capacityRange)
        guard request.capacityRange.requiredBytes > 0 || request.capacityRange.limitBytes > 0 else {
            throw RequestError(.invalidArgument, "capacity_range is missing: say required_bytes")
        }
        let capability = try VolumeCapability.optional(request, reach: pool.reach)
        try FieldLimits.map(request.secrets, "secrets")
        let id = try volumeID(text)
        try pool.checkReady()
        let record = try await CallSecrets.$current.withValue(request.secrets) {
            try await gate.run(pool.key(forID: text)) { try await pool.expand(id, to: size) }
        }
        return .with {
            $0.capacityBytes = Int64(clamping: record.size)
            // Only a file system has to follow, or an initiator that is not told of the new size.
            $0.nodeExpansionRequired =
                record.remote?.needsRescan ?? false || (record.format != .block && capability?.access != .block)
        }
    }

    package func controllerModifyVolume(
        request: Csi_V1_ControllerModifyVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerModifyVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        try FieldLimits.map(request.secrets, "secrets")
        let changes = try MutableParameters(request.mutableParameters, pool.defaultParameters)
        guard !changes.values.isEmpty else { throw RequestError(.invalidArgument, "mutable_parameters is missing") }
        let id = try volumeID(text)
        try pool.checkReady()
        try await CallSecrets.$current.withValue(request.secrets) {
            try await gate.run(pool.key(forID: text)) { try await pool.modify(id, changes) }
        }
        return .init()
    }
}
