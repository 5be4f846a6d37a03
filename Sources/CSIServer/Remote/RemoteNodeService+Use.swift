package import CSIProto
import DeviceManager
package import GRPCCore
import Host
import SwiftProtobuf

// How full a volume is, and what follows when it has grown.
extension RemoteNodeService {
    /// How long a target that was resized may take to tell.
    private static let growthLimit = Duration.seconds(10)

    package func nodeGetVolumeStats(
        request: Csi_V1_NodeGetVolumeStatsRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeGetVolumeStatsResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.required(request.volumePath, "volume_path", limit: FieldLimits.anyPath)
        let staging = try FieldLimits.optionalPath(request.stagingTargetPath, "staging_target_path")
        try node.checkStarted()
        let (_, device) = try await attached(text, at: path, staging: staging)
        return try await blockingDevice(on: .remote) {
            try VolumePlace(of: device, at: path, staging: staging).statistics()
        }
    }

    package func nodeExpandVolume(
        request: Csi_V1_NodeExpandVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeExpandVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.required(request.volumePath, "volume_path", limit: FieldLimits.anyPath)
        let staging = try FieldLimits.optionalPath(request.stagingTargetPath, "staging_target_path")
        let size = try SizeRange(request.capacityRange)
        let capability = try VolumeCapability.optional(request, reach: .anywhere)
        try FieldLimits.map(request.secrets, "secrets")
        try node.checkStarted()
        let bytes = try await gate.run(SPDKPool.key(text)) {
            let (record, device) = try await attached(text, at: path, staging: staging)
            let place = try await blockingDevice(on: .remote) {
                try VolumePlace(of: device, at: path, staging: staging)
            }
            if let capability { try place.check(capability) }
            try await waitForGrowth(record, place.device, to: size.required)
            return try await blockingDevice(on: .remote) { try place.expand(to: size) }
        }
        return .with { $0.capacityBytes = Int64(clamping: bytes) }
    }

    /// NVMe targets tell by themselves, and a rescan does no harm; iSCSI ones must be asked.
    private func waitForGrowth(_ record: AttachmentRecord, _ device: BlockDevice, to size: UInt64) async throws {
        if try await blockingDevice(on: .remote, { try device.size() >= size && size > 0 }) { return }
        try await node.attachments.rescan(record)
        _ = try await BlockingLane.remote.wait(atMost: size > 0 ? Self.growthLimit : .zero) {
            try device.size() >= size
        }
    }

    private func attached(
        _ text: String, at path: String, staging: String?
    ) async throws -> (AttachmentRecord, VolumeDevice) {
        guard let record = try await node.record(text, at: staging) else {
            throw RequestError(.notFound, "volume \"\(text)\" is not at \(path): it is not attached to this node")
        }
        return (record, try await node.device(of: record))
    }
}
