import CSIProto
import ClusterProto
import GRPCCore

private let identity = Csi_V1_Identity.descriptor
private let controller = Csi_V1_Controller.descriptor
private let group = Csi_V1_GroupController.descriptor
private let metadata = Csi_V1_SnapshotMetadata.descriptor
private let cluster = Pmemcsi_V0_Cluster.descriptor
private let node = Csi_V1_Node.descriptor

extension Method {
    /// Every method of CSI 1.12 and of the controller's own service, one line each.
    static let all: [Method] = [
        .unary(identity, Csi_V1_GetPluginInfoRequest.self, Csi_V1_GetPluginInfoResponse.self),
        .unary(identity, Csi_V1_GetPluginCapabilitiesRequest.self, Csi_V1_GetPluginCapabilitiesResponse.self),
        .unary(identity, Csi_V1_ProbeRequest.self, Csi_V1_ProbeResponse.self),
        .unary(controller, Csi_V1_CreateVolumeRequest.self, Csi_V1_CreateVolumeResponse.self),
        .unary(controller, Csi_V1_DeleteVolumeRequest.self, Csi_V1_DeleteVolumeResponse.self),
        .unary(controller, Csi_V1_ControllerPublishVolumeRequest.self, Csi_V1_ControllerPublishVolumeResponse.self),
        .unary(controller, Csi_V1_ControllerUnpublishVolumeRequest.self, Csi_V1_ControllerUnpublishVolumeResponse.self),
        .unary(
            controller, Csi_V1_ValidateVolumeCapabilitiesRequest.self, Csi_V1_ValidateVolumeCapabilitiesResponse.self),
        .unary(controller, Csi_V1_ListVolumesRequest.self, Csi_V1_ListVolumesResponse.self),
        .unary(controller, Csi_V1_GetCapacityRequest.self, Csi_V1_GetCapacityResponse.self),
        .unary(controller, Csi_V1_ControllerGetCapabilitiesRequest.self, Csi_V1_ControllerGetCapabilitiesResponse.self),
        .unary(controller, Csi_V1_CreateSnapshotRequest.self, Csi_V1_CreateSnapshotResponse.self),
        .unary(controller, Csi_V1_DeleteSnapshotRequest.self, Csi_V1_DeleteSnapshotResponse.self),
        .unary(controller, Csi_V1_ListSnapshotsRequest.self, Csi_V1_ListSnapshotsResponse.self),
        .unary(controller, Csi_V1_GetSnapshotRequest.self, Csi_V1_GetSnapshotResponse.self),
        .unary(controller, Csi_V1_ControllerExpandVolumeRequest.self, Csi_V1_ControllerExpandVolumeResponse.self),
        .unary(controller, Csi_V1_ControllerGetVolumeRequest.self, Csi_V1_ControllerGetVolumeResponse.self),
        .unary(controller, Csi_V1_ControllerModifyVolumeRequest.self, Csi_V1_ControllerModifyVolumeResponse.self),
        .unary(
            group, Csi_V1_GroupControllerGetCapabilitiesRequest.self,
            Csi_V1_GroupControllerGetCapabilitiesResponse.self),
        .unary(group, Csi_V1_CreateVolumeGroupSnapshotRequest.self, Csi_V1_CreateVolumeGroupSnapshotResponse.self),
        .unary(group, Csi_V1_DeleteVolumeGroupSnapshotRequest.self, Csi_V1_DeleteVolumeGroupSnapshotResponse.self),
        .unary(group, Csi_V1_GetVolumeGroupSnapshotRequest.self, Csi_V1_GetVolumeGroupSnapshotResponse.self),
        .serverStreaming(metadata, Csi_V1_GetMetadataAllocatedRequest.self, Csi_V1_GetMetadataAllocatedResponse.self),
        .serverStreaming(metadata, Csi_V1_GetMetadataDeltaRequest.self, Csi_V1_GetMetadataDeltaResponse.self),
        .unary(node, Csi_V1_NodeStageVolumeRequest.self, Csi_V1_NodeStageVolumeResponse.self),
        .unary(node, Csi_V1_NodeUnstageVolumeRequest.self, Csi_V1_NodeUnstageVolumeResponse.self),
        .unary(node, Csi_V1_NodePublishVolumeRequest.self, Csi_V1_NodePublishVolumeResponse.self),
        .unary(node, Csi_V1_NodeUnpublishVolumeRequest.self, Csi_V1_NodeUnpublishVolumeResponse.self),
        .unary(node, Csi_V1_NodeGetVolumeStatsRequest.self, Csi_V1_NodeGetVolumeStatsResponse.self),
        .unary(node, Csi_V1_NodeExpandVolumeRequest.self, Csi_V1_NodeExpandVolumeResponse.self),
        .unary(node, Csi_V1_NodeGetCapabilitiesRequest.self, Csi_V1_NodeGetCapabilitiesResponse.self),
        .unary(node, Csi_V1_NodeGetInfoRequest.self, Csi_V1_NodeGetInfoResponse.self),
        .unary(cluster, Pmemcsi_V0_ListNodesRequest.self, Pmemcsi_V0_ListNodesResponse.self),
        .unary(cluster, Pmemcsi_V0_ForgetNodeRequest.self, Pmemcsi_V0_ForgetNodeResponse.self),
    ]

    /// By name in any case, with or without the service in front; also with dashes, as in `create-volume`.
    static func named(_ text: String) -> Method? {
        func plain(_ name: String) -> String { name.lowercased().filter { $0 != "-" && $0 != "_" } }
        let wanted = plain(text)
        return all.first { method in
            let name = plain(method.name)
            let service = plain(method.service.split(separator: ".").last.map(String.init) ?? "")
            return [name, "\(service).\(name)", "\(service)/\(name)", "csi.v1.\(service)/\(name)"].contains(wanted)
        }
    }
}
