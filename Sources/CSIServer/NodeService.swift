package import CSIProto
import DeviceManager
package import GRPCCore
import Host
import SwiftProtobuf

/// The node calls (CSI section "Node Service RPC"): parse, hold the volume in the gate, mount or unmount.
///
/// What is done already is read from the mount table, never remembered.
package struct NodeService: Csi_V1_Node.SimpleServiceProtocol {
    let pool: LocalPool
    let gate: OperationGate

    package init(pool: LocalPool, gate: OperationGate) {
        self.pool = pool
        self.gate = gate
    }

    package func nodeStageVolume(
        request: Csi_V1_NodeStageVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeStageVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.path(request.stagingTargetPath, "staging_target_path")
        let capability = try VolumeCapability(
            supported: request.volumeCapability, isPresent: request.hasVolumeCapability)
        try FieldLimits.maps(
            publishContext: request.publishContext, volumeContext: request.volumeContext, secrets: request.secrets)
        try pool.checkReady()
        try await gate.run(text) {
            guard let record = try volume(text) else { throw notFound(text) }
            try await Staging(pool: pool, record: record).stage(at: path, capability)
        }
        return .init()
    }

    package func nodeUnstageVolume(
        request: Csi_V1_NodeUnstageVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeUnstageVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.path(request.stagingTargetPath, "staging_target_path")
        try pool.checkReady()
        try await gate.run(text) {
            let volume = try await localVolume(text)
            let unmounting = Unmounting(text: text, volume: volume?.device)
            let isUnused = try await blockingDevice { try unmounting.unstage(path) }
            guard let volume, isUnused else { return }
            try await pool.manager.detach(volume.id, location: volume.location)
        }
        return .init()
    }

    package func nodePublishVolume(
        request: Csi_V1_NodePublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodePublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let target = try FieldLimits.path(request.targetPath, "target_path")
        let capability = try VolumeCapability(
            supported: request.volumeCapability, isPresent: request.hasVolumeCapability)
        try FieldLimits.maps(
            publishContext: request.publishContext, volumeContext: request.volumeContext, secrets: request.secrets)
        if EphemeralVolume.isAsked(request) {
            let volume = try EphemeralVolume(request, capability, pool: pool)
            try pool.checkReady()
            try await gate.run(text, volume.key) { try await volume.publish() }
            return .init()
        }
        guard !request.stagingTargetPath.isEmpty else {
            throw RequestError(.failedPrecondition, "staging_target_path is missing: the volume must be staged first")
        }
        let staging = try FieldLimits.path(request.stagingTargetPath, "staging_target_path")
        try pool.checkReady()
        try await gate.run(text) {
            guard let record = try volume(text) else { throw notFound(text) }
            guard let device = try await VolumeDevice(of: record, in: pool.manager) else {
                throw RequestError(.failedPrecondition, "volume \(record.id) has no device")
            }
            // PUBLISH_READONLY: what ControllerPublishVolume said binds the node too.
            let readOnly = request.readonly || capability.isReadOnly || record.publication?.readOnly == true
            let publishing = Publishing(
                volume: device, staging: staging, target: target, readOnly: readOnly, capability: capability)
            try await blockingDevice { try publishing.publish() }
        }
        return .init()
    }

    package func nodeUnpublishVolume(
        request: Csi_V1_NodeUnpublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeUnpublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let target = try FieldLimits.path(request.targetPath, "target_path")
        try pool.checkReady()
        try await gate.run(text, pool.ephemeralID(text).rawValue) {
            let unmounting = Unmounting(text: text, volume: try await localVolume(text)?.device)
            try await blockingDevice { try unmounting.unpublish(target) }
            // It lived with this one pod; for other volumes there is none of that id.
            try await pool.deleteEphemeral(volumeID: text)
        }
        return .init()
    }

    package func nodeGetCapabilities(
        request: Csi_V1_NodeGetCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeGetCapabilitiesResponse {
        var types: [Csi_V1_NodeServiceCapability.RPC.TypeEnum] = [
            .stageUnstageVolume, .getVolumeStats, .singleNodeMultiWriter,
        ]
        if pool.canExpand { types.append(.expandVolume) }
        return .with { response in response.capabilities = types.map { type in .with { $0.rpc.type = type } } }
    }

    package func nodeGetInfo(
        request: Csi_V1_NodeGetInfoRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeGetInfoResponse {
        .with {
            $0.nodeID = pool.topology.node
            $0.accessibleTopology = pool.topology.message
        }
    }
}
