package import CSIProto
import DeviceManager
package import GRPCCore
import Host
import SwiftProtobuf

/// The node calls (CSI section "Node Service RPC"): parse, hold the volume in the gate, mount or unmount.
///
/// What is done already is read from the mount table, never remembered.
package struct NodeService: Csi_V1_Node.SimpleServiceProtocol {
    private let pool: LocalPool
    private let gate: OperationGate

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
        try checkMaps(request.publishContext, request.volumeContext, request.secrets)
        try pool.checkReady()
        try await gate.run(text) {
            try await Staging(pool: pool, record: existing(text)).stage(at: path, capability)
        }
        return .init()
    }

    package func nodeUnstageVolume(
        request: Csi_V1_NodeUnstageVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeUnstageVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let path = try FieldLimits.path(request.stagingTargetPath, "staging_target_path")
        try pool.checkReady()
        try await gate.run(text) { try await unmount(text, at: path) }
        return .init()
    }

    package func nodePublishVolume(
        request: Csi_V1_NodePublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodePublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let target = try FieldLimits.path(request.targetPath, "target_path")
        let capability = try VolumeCapability(
            supported: request.volumeCapability, isPresent: request.hasVolumeCapability)
        guard !request.stagingTargetPath.isEmpty else {
            throw RequestError(.failedPrecondition, "staging_target_path is missing: the volume must be staged first")
        }
        let staging = try FieldLimits.path(request.stagingTargetPath, "staging_target_path")
        try checkMaps(request.publishContext, request.volumeContext, request.secrets)
        try pool.checkReady()
        try await gate.run(text) {
            let record = try existing(text)
            // PUBLISH_READONLY: what ControllerPublishVolume said binds the node too.
            let readOnly = request.readonly || capability.isReadOnly || record.publication?.readOnly == true
            try await Publishing(pool: pool, record: record)
                .publish(from: staging, to: target, readOnly: readOnly, capability)
        }
        return .init()
    }

    package func nodeUnpublishVolume(
        request: Csi_V1_NodeUnpublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeUnpublishVolumeResponse {
        let text = try FieldLimits.required(request.volumeID, "volume_id")
        let target = try FieldLimits.path(request.targetPath, "target_path")
        try pool.checkReady()
        try await gate.run(text) {
            try await unmount(text, at: target)
            try await blockingDevice { try Mounter.removeMountPoint(target) }
        }
        return .init()
    }

    package func nodeGetCapabilities(
        request: Csi_V1_NodeGetCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeGetCapabilitiesResponse {
        let types: [Csi_V1_NodeServiceCapability.RPC.TypeEnum] = [.stageUnstageVolume, .singleNodeMultiWriter]
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

extension NodeService {
    private func checkMaps(
        _ publish: [String: String], _ volume: [String: String], _ secrets: [String: String]
    ) throws(RequestError) {
        try FieldLimits.map(publish, "publish_context")
        try FieldLimits.map(volume, "volume_context")
        try FieldLimits.map(secrets, "secrets")
    }

    private func existing(_ text: String) throws -> VolumeRecord {
        guard let id = VolumeID(text), let record = try pool.volume(id), record.phase == .ready else {
            throw RequestError(.notFound, "volume \"\(text)\" does not exist on node \(pool.topology.node)")
        }
        return record
    }

    /// Nothing mounted is fine; a mount that is not of this volume is left alone.
    private func unmount(_ text: String, at path: String) async throws {
        let device = try await device(of: text)
        try await blockingDevice {
            let mounts = try MountTable.current().mounts(at: path)
            guard let stranger = mounts.first(where: { device?.isMounted(as: $0) != true }) else {
                return try Mounter.unmountAll(path)
            }
            guard let device else {
                throw DeviceError(
                    .notFound, "volume \(text) does not exist, yet \(stranger.source) is mounted at \(path)")
            }
            throw DeviceError(
                .failedPrecondition,
                "\(path): \(stranger.source) is mounted there, not volume \(device.id); unmount it yourself")
        }
    }

    /// Of a volume whose record cannot be read the device manager knows the place, so its pods can still end.
    private func device(of text: String) async throws -> VolumeDevice? {
        guard let id = VolumeID(text) else { return nil }
        do {
            guard let record = try pool.volume(id) else { return nil }
            return try await VolumeDevice(of: record, in: pool.manager)
        } catch let error as DeviceError where error.code == .failedPrecondition {
            guard let volume = try await pool.manager.volume(id, location: nil) else { return nil }
            return try await VolumeDevice(of: volume, in: pool.manager)
        }
    }
}
