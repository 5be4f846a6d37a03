package import CSIProto
import DeviceManager
package import GRPCCore
import Host
import SwiftProtobuf

/// The node calls (CSI section "Node Service RPC") for volumes of storage targets: parse, hold the volume in the gate,
/// connect and mount, or the reverse.
package struct RemoteNodeService: Csi_V1_Node.SimpleServiceProtocol {
    let node: RemoteNode
    let gate: OperationGate

    package init(node: RemoteNode, gate: OperationGate) {
        self.node = node
        self.gate = gate
    }

    package func nodeStageVolume(
        request: Csi_V1_NodeStageVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeStageVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.path(request.stagingTargetPath, "staging_target_path")
        let capability = try VolumeCapability(
            supported: request.volumeCapability, isPresent: request.hasVolumeCapability, reach: .anywhere)
        try FieldLimits.maps(
            publishContext: request.publishContext, volumeContext: request.volumeContext, secrets: request.secrets)
        try node.checkStarted()
        try await gate.run(SPDKPool.key(text)) {
            let volume = try await node.volume(
                text, volumeContext: request.volumeContext, publishContext: request.publishContext)
            try await RemoteStaging(node: node, volume: volume).stage(at: path, capability)
        }
        return .init()
    }

    package func nodeUnstageVolume(
        request: Csi_V1_NodeUnstageVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeUnstageVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.path(request.stagingTargetPath, "staging_target_path")
        try node.checkStarted()
        try await gate.run(SPDKPool.key(text)) {
            let record = try await node.record(text, at: path)
            let device: VolumeDevice? = if let record { try await node.device(of: record) } else { nil }
            let unmounting = Unmounting(text: text, volume: device)
            let isUnused = try await blockingDevice(on: .remote) { try unmounting.unstage(path) }
            guard let record, isUnused else { return }
            try await node.attachments.detach(record)
            try await blockingDevice { try? OldContext(staging: path).remove() }
        }
        return .init()
    }

    package func nodePublishVolume(
        request: Csi_V1_NodePublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodePublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let target = try FieldLimits.path(request.targetPath, "target_path")
        let capability = try VolumeCapability(
            supported: request.volumeCapability, isPresent: request.hasVolumeCapability, reach: .anywhere)
        try FieldLimits.maps(
            publishContext: request.publishContext, volumeContext: request.volumeContext, secrets: request.secrets)
        guard !EphemeralVolume.isAsked(request) else {
            throw RequestError(
                .invalidArgument, "volume_context: inline ephemeral volumes are not supported by this driver")
        }
        guard !request.stagingTargetPath.isEmpty else {
            throw RequestError(.failedPrecondition, "staging_target_path is missing: the volume must be staged first")
        }
        let staging = try FieldLimits.path(request.stagingTargetPath, "staging_target_path")
        try node.checkStarted()
        try await gate.run(SPDKPool.key(text)) {
            guard let record = try await node.record(text, at: staging) else {
                throw RequestError(
                    .failedPrecondition, "volume \(text) is not attached to this node; call NodeStageVolume first")
            }
            let readOnly = request.readonly || capability.isReadOnly || record.volume.isReadOnly
            let publishing = Publishing(
                volume: try await node.device(of: record), staging: staging, target: target, readOnly: readOnly,
                capability: capability)
            try await blockingDevice(on: .remote) { try publishing.publish() }
        }
        return .init()
    }

    package func nodeUnpublishVolume(
        request: Csi_V1_NodeUnpublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeUnpublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let target = try FieldLimits.path(request.targetPath, "target_path")
        try node.checkStarted()
        try await gate.run(SPDKPool.key(text)) {
            let record = try await node.record(text, at: nil)
            let device: VolumeDevice? = if let record { try await node.device(of: record) } else { nil }
            let unmounting = Unmounting(text: text, volume: device)
            try await blockingDevice(on: .remote) { try unmounting.unpublish(target) }
        }
        return .init()
    }

    package func nodeGetCapabilities(
        request: Csi_V1_NodeGetCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeGetCapabilitiesResponse {
        let types: [Csi_V1_NodeServiceCapability.RPC.TypeEnum] = [
            .stageUnstageVolume, .getVolumeStats, .expandVolume, .singleNodeMultiWriter,
        ]
        return .with { response in response.capabilities = types.map { type in .with { $0.rpc.type = type } } }
    }

    /// No topology: every node reaches every storage node.
    package func nodeGetInfo(
        request: Csi_V1_NodeGetInfoRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeGetInfoResponse {
        .with {
            $0.nodeID = node.nodeID
            $0.maxVolumesPerNode = node.maximumVolumes
        }
    }
}
