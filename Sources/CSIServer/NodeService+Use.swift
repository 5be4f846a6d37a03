package import CSIProto
import DeviceManager
package import GRPCCore
import Host
import SwiftProtobuf

// How full a volume is, and what follows when it has grown. The volume must be where the caller says that it is.
extension NodeService {
    package func nodeGetVolumeStats(
        request: Csi_V1_NodeGetVolumeStatsRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeGetVolumeStatsResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.required(request.volumePath, "volume_path", limit: FieldLimits.anyPath)
        let staging = try FieldLimits.optionalPath(request.stagingTargetPath, "staging_target_path")
        try pool.checkReady()
        let place = try await place(of: volumeOfAnyKind(text), at: path, staging: staging)
        return try await blockingDevice { try place.statistics() }
    }

    package func nodeExpandVolume(
        request: Csi_V1_NodeExpandVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeExpandVolumeResponse {
        guard pool.canExpand else {
            throw RequestError(.unimplemented, "NodeExpandVolume: volumes of this driver cannot grow")
        }
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.required(request.volumePath, "volume_path", limit: FieldLimits.anyPath)
        let staging = try FieldLimits.optionalPath(request.stagingTargetPath, "staging_target_path")
        let size = try SizeRange(request.capacityRange)
        let capability = try VolumeCapability.optional(request)
        try FieldLimits.map(request.secrets, "secrets")
        try pool.checkReady()
        let bytes = try await gate.run(text) {
            let record = try await pool.finishExpansion(try volumeOfAnyKind(text))
            let place = try await place(of: record, at: path, staging: staging)
            if let capability { try place.check(capability) }
            return try await blockingDevice { try place.expand(to: size) }
        }
        return .with { $0.capacityBytes = Int64(clamping: bytes) }
    }

    private func place(of record: VolumeRecord, at path: String, staging: String?) async throws -> VolumePlace {
        guard let volume = try await VolumeDevice(of: record, in: pool.manager) else {
            throw RequestError(.notFound, "volume \(record.id) is not at \(path): it has no device")
        }
        return try await blockingDevice { try VolumePlace(of: volume, at: path, staging: staging) }
    }
}

extension VolumePlace {
    func statistics() throws -> Csi_V1_NodeGetVolumeStatsResponse {
        guard mount != nil else {
            let size = try device.size()
            return .with {
                $0.usage = [
                    .with {
                        $0.unit = .bytes; $0.total = Int64(clamping: size)
                    }
                ]
            }
        }
        let usage = try Filesystem.usage(at: path)
        return .with { $0.usage = [.init(usage.bytes, .bytes), .init(usage.inodes, .inodes)] }
    }
}

extension Csi_V1_VolumeUsage {
    fileprivate init(_ amount: Filesystem.Usage.Amount, _ unit: Unit) {
        self.init()
        self.unit = unit
        total = Int64(clamping: amount.total)
        used = Int64(clamping: amount.used)
        available = Int64(clamping: amount.available)
    }
}
