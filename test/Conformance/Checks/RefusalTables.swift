import CSIProto
import SwiftProtobuf

extension RefusalChecks {
    static func controller(_ volume: Volume) -> [Row] {
        let none = Csi_V1_VolumeCapability()
        let snapshot = volume.snapshot("conformance-refused")
        let expansion = volume.expansion(to: volume.size)
        let modification = Csi_V1_ControllerModifyVolumeRequest.with {
            ($0.volumeID, $0.mutableParameters) = (volume.id, ["no-such-parameter": "1"])
        }
        return [
            ("DeleteVolume without an id", Csi_V1_DeleteVolumeRequest()),
            ("ControllerPublishVolume without an id", volume.attachment.changing { $0.volumeID = "" }),
            ("ControllerPublishVolume without a node", volume.attachment.changing { $0.nodeID = "" }),
            ("ControllerPublishVolume, no capability", volume.attachment.changing { $0.clearVolumeCapability() }),
            ("ControllerPublishVolume, empty capability", volume.attachment.changing { $0.volumeCapability = none }),
            ("ControllerUnpublishVolume without an id", volume.detachment.changing { $0.volumeID = "" }),
            ("ValidateVolumeCapabilities without an id", volume.validation.changing { $0.volumeID = "" }),
            ("ValidateVolumeCapabilities of nothing", volume.validation.changing { $0.volumeCapabilities = [] }),
            ("ListVolumes, max_entries -1", Csi_V1_ListVolumesRequest.with { $0.maxEntries = -1 }),
            ("ControllerGetVolume without an id", Csi_V1_ControllerGetVolumeRequest()),
            ("CreateSnapshot without a source", snapshot.changing { $0.sourceVolumeID = "" }),
            ("CreateSnapshot without a name", snapshot.changing { $0.name = "" }),
            ("CreateSnapshot, unknown parameter", snapshot.changing { $0.parameters["no-such-parameter"] = "1" }),
            ("DeleteSnapshot without an id", Csi_V1_DeleteSnapshotRequest()),
            ("ListSnapshots, max_entries -1", Csi_V1_ListSnapshotsRequest.with { $0.maxEntries = -1 }),
            ("GetSnapshot without an id", Csi_V1_GetSnapshotRequest()),
            ("ControllerExpandVolume without an id", expansion.changing { $0.volumeID = "" }),
            ("ControllerExpandVolume without a range", expansion.changing { $0.clearCapacityRange() }),
            ("ControllerExpandVolume, negative", expansion.changing { $0.capacityRange.requiredBytes = -1 }),
            ("ControllerModifyVolume without an id", modification.changing { $0.volumeID = "" }),
            ("ControllerModifyVolume, unknown parameter", modification),
        ]
    }

    static func node(_ volume: Volume) -> [Row] {
        let none = Csi_V1_VolumeCapability()
        let expansion = volume.nodeExpansion(to: volume.size)
        return [
            ("NodeStageVolume without an id", volume.stage.changing { $0.volumeID = "" }),
            ("NodeStageVolume without a path", volume.stage.changing { $0.stagingTargetPath = "" }),
            ("NodeStageVolume without a capability", volume.stage.changing { $0.clearVolumeCapability() }),
            ("NodeStageVolume, empty capability", volume.stage.changing { $0.volumeCapability = none }),
            ("NodeUnstageVolume without an id", volume.unstage.changing { $0.volumeID = "" }),
            ("NodeUnstageVolume without a path", volume.unstage.changing { $0.stagingTargetPath = "" }),
            ("NodePublishVolume without an id", volume.publish.changing { $0.volumeID = "" }),
            ("NodePublishVolume without a target", volume.publish.changing { $0.targetPath = "" }),
            ("NodePublishVolume without a capability", volume.publish.changing { $0.clearVolumeCapability() }),
            ("NodePublishVolume, empty capability", volume.publish.changing { $0.volumeCapability = none }),
            ("NodeUnpublishVolume without an id", volume.unpublish.changing { $0.volumeID = "" }),
            ("NodeUnpublishVolume without a target", volume.unpublish.changing { $0.targetPath = "" }),
            ("NodeGetVolumeStats without an id", volume.stats.changing { $0.volumeID = "" }),
            ("NodeGetVolumeStats without a path", volume.stats.changing { $0.volumePath = "" }),
            ("NodeExpandVolume without an id", expansion.changing { $0.volumeID = "" }),
            ("NodeExpandVolume without a path", expansion.changing { $0.volumePath = "" }),
            ("NodeExpandVolume, negative", expansion.changing { $0.capacityRange.requiredBytes = -1 }),
        ]
    }
}
