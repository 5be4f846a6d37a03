import CSIProto
import GRPCCore
import SwiftProtobuf

/// A request that knows its method and its answer, so that one function sends them all.
protocol Call: Message {
    associatedtype Answer: Message & Equatable
    static var method: MethodDescriptor { get }
}

extension Call {
    static var title: String { method.method }
}

extension Message {
    /// The same message with something changed.
    func changing(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }
}

/// A call with a field that is marked `csi_secret`.
protocol Confidential: Call {
    var secrets: [String: String] { get set }
}

extension Csi_V1_GetPluginInfoRequest: Call {
    typealias Answer = Csi_V1_GetPluginInfoResponse
    static var method: MethodDescriptor { Csi_V1_Identity.Method.GetPluginInfo.descriptor }
}
extension Csi_V1_GetPluginCapabilitiesRequest: Call {
    typealias Answer = Csi_V1_GetPluginCapabilitiesResponse
    static var method: MethodDescriptor { Csi_V1_Identity.Method.GetPluginCapabilities.descriptor }
}
extension Csi_V1_ProbeRequest: Call {
    typealias Answer = Csi_V1_ProbeResponse
    static var method: MethodDescriptor { Csi_V1_Identity.Method.Probe.descriptor }
}
extension Csi_V1_CreateVolumeRequest: Confidential {
    typealias Answer = Csi_V1_CreateVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.CreateVolume.descriptor }
}
extension Csi_V1_DeleteVolumeRequest: Confidential {
    typealias Answer = Csi_V1_DeleteVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.DeleteVolume.descriptor }
}
extension Csi_V1_ControllerPublishVolumeRequest: Confidential {
    typealias Answer = Csi_V1_ControllerPublishVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ControllerPublishVolume.descriptor }
}
extension Csi_V1_ControllerUnpublishVolumeRequest: Confidential {
    typealias Answer = Csi_V1_ControllerUnpublishVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ControllerUnpublishVolume.descriptor }
}
extension Csi_V1_ValidateVolumeCapabilitiesRequest: Confidential {
    typealias Answer = Csi_V1_ValidateVolumeCapabilitiesResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ValidateVolumeCapabilities.descriptor }
}
extension Csi_V1_ListVolumesRequest: Call {
    typealias Answer = Csi_V1_ListVolumesResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ListVolumes.descriptor }
}
extension Csi_V1_GetCapacityRequest: Call {
    typealias Answer = Csi_V1_GetCapacityResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.GetCapacity.descriptor }
}
extension Csi_V1_ControllerGetCapabilitiesRequest: Call {
    typealias Answer = Csi_V1_ControllerGetCapabilitiesResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ControllerGetCapabilities.descriptor }
}
extension Csi_V1_CreateSnapshotRequest: Confidential {
    typealias Answer = Csi_V1_CreateSnapshotResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.CreateSnapshot.descriptor }
}
extension Csi_V1_DeleteSnapshotRequest: Confidential {
    typealias Answer = Csi_V1_DeleteSnapshotResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.DeleteSnapshot.descriptor }
}
extension Csi_V1_ListSnapshotsRequest: Confidential {
    typealias Answer = Csi_V1_ListSnapshotsResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ListSnapshots.descriptor }
}
extension Csi_V1_GetSnapshotRequest: Confidential {
    typealias Answer = Csi_V1_GetSnapshotResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.GetSnapshot.descriptor }
}
extension Csi_V1_ControllerExpandVolumeRequest: Confidential {
    typealias Answer = Csi_V1_ControllerExpandVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ControllerExpandVolume.descriptor }
}
extension Csi_V1_ControllerGetVolumeRequest: Call {
    typealias Answer = Csi_V1_ControllerGetVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ControllerGetVolume.descriptor }
}
extension Csi_V1_ControllerModifyVolumeRequest: Confidential {
    typealias Answer = Csi_V1_ControllerModifyVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Controller.Method.ControllerModifyVolume.descriptor }
}
extension Csi_V1_NodeStageVolumeRequest: Confidential {
    typealias Answer = Csi_V1_NodeStageVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Node.Method.NodeStageVolume.descriptor }
}
extension Csi_V1_NodeUnstageVolumeRequest: Call {
    typealias Answer = Csi_V1_NodeUnstageVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Node.Method.NodeUnstageVolume.descriptor }
}
extension Csi_V1_NodePublishVolumeRequest: Confidential {
    typealias Answer = Csi_V1_NodePublishVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Node.Method.NodePublishVolume.descriptor }
}
extension Csi_V1_NodeUnpublishVolumeRequest: Call {
    typealias Answer = Csi_V1_NodeUnpublishVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Node.Method.NodeUnpublishVolume.descriptor }
}
extension Csi_V1_NodeGetVolumeStatsRequest: Call {
    typealias Answer = Csi_V1_NodeGetVolumeStatsResponse
    static var method: MethodDescriptor { Csi_V1_Node.Method.NodeGetVolumeStats.descriptor }
}
extension Csi_V1_NodeExpandVolumeRequest: Confidential {
    typealias Answer = Csi_V1_NodeExpandVolumeResponse
    static var method: MethodDescriptor { Csi_V1_Node.Method.NodeExpandVolume.descriptor }
}
extension Csi_V1_NodeGetCapabilitiesRequest: Call {
    typealias Answer = Csi_V1_NodeGetCapabilitiesResponse
    static var method: MethodDescriptor { Csi_V1_Node.Method.NodeGetCapabilities.descriptor }
}
extension Csi_V1_NodeGetInfoRequest: Call {
    typealias Answer = Csi_V1_NodeGetInfoResponse
    static var method: MethodDescriptor { Csi_V1_Node.Method.NodeGetInfo.descriptor }
}
extension Csi_V1_GroupControllerGetCapabilitiesRequest: Call {
    typealias Answer = Csi_V1_GroupControllerGetCapabilitiesResponse
    static var method: MethodDescriptor { Csi_V1_GroupController.Method.GroupControllerGetCapabilities.descriptor }
}
extension Csi_V1_CreateVolumeGroupSnapshotRequest: Confidential {
    typealias Answer = Csi_V1_CreateVolumeGroupSnapshotResponse
    static var method: MethodDescriptor { Csi_V1_GroupController.Method.CreateVolumeGroupSnapshot.descriptor }
}
extension Csi_V1_DeleteVolumeGroupSnapshotRequest: Confidential {
    typealias Answer = Csi_V1_DeleteVolumeGroupSnapshotResponse
    static var method: MethodDescriptor { Csi_V1_GroupController.Method.DeleteVolumeGroupSnapshot.descriptor }
}
extension Csi_V1_GetVolumeGroupSnapshotRequest: Confidential {
    typealias Answer = Csi_V1_GetVolumeGroupSnapshotResponse
    static var method: MethodDescriptor { Csi_V1_GroupController.Method.GetVolumeGroupSnapshot.descriptor }
}
