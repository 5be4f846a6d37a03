import CSIProto
package import SwiftProtobuf

/// Contents of a message for the log: JSON without secrets and mount flags.
///
/// Used by the call log; a test compares the conformances with the fields that csi.proto marks `csi_secret`.
package enum Redaction {
    package static func text(of message: any Message) -> String {
        var message = message
        if var secret = message as? any CarriesSecrets {
            secret.secrets = secret.secrets.mapValues { _ in "***" }
            message = secret
        }
        if var one = message as? any CarriesCapability, one.hasVolumeCapability {
            one.volumeCapability.hideMountFlags()
            message = one
        }
        if var several = message as? any CarriesCapabilities {
            for index in several.volumeCapabilities.indices { several.volumeCapabilities[index].hideMountFlags() }
            message = several
        }
        if var validated = message as? Csi_V1_ValidateVolumeCapabilitiesResponse, validated.hasConfirmed {
            for index in validated.confirmed.volumeCapabilities.indices {
                validated.confirmed.volumeCapabilities[index].hideMountFlags()
            }
            message = validated
        }
        return (try? message.jsonString()) ?? "(not printable)"
    }
}

extension Csi_V1_VolumeCapability {
    fileprivate mutating func hideMountFlags() {
        guard case .mount(var mount) = accessType else { return }
        mount.mountFlags = mount.mountFlags.map { _ in "***" }
        accessType = .mount(mount)
    }
}

/// A message with a field marked `csi_secret`.
protocol CarriesSecrets: Message {
    var secrets: [String: String] { get set }
}

protocol CarriesCapability: Message {
    var hasVolumeCapability: Bool { get }
    var volumeCapability: Csi_V1_VolumeCapability { get set }
}

protocol CarriesCapabilities: Message {
    var volumeCapabilities: [Csi_V1_VolumeCapability] { get set }
}

extension Csi_V1_CreateVolumeRequest: CarriesSecrets {}
extension Csi_V1_DeleteVolumeRequest: CarriesSecrets {}
extension Csi_V1_ControllerPublishVolumeRequest: CarriesSecrets {}
extension Csi_V1_ControllerUnpublishVolumeRequest: CarriesSecrets {}
extension Csi_V1_ValidateVolumeCapabilitiesRequest: CarriesSecrets {}
extension Csi_V1_ControllerModifyVolumeRequest: CarriesSecrets {}
extension Csi_V1_CreateSnapshotRequest: CarriesSecrets {}
extension Csi_V1_DeleteSnapshotRequest: CarriesSecrets {}
extension Csi_V1_ListSnapshotsRequest: CarriesSecrets {}
extension Csi_V1_GetSnapshotRequest: CarriesSecrets {}
extension Csi_V1_ControllerExpandVolumeRequest: CarriesSecrets {}
extension Csi_V1_NodeStageVolumeRequest: CarriesSecrets {}
extension Csi_V1_NodePublishVolumeRequest: CarriesSecrets {}
extension Csi_V1_NodeExpandVolumeRequest: CarriesSecrets {}
extension Csi_V1_CreateVolumeGroupSnapshotRequest: CarriesSecrets {}
extension Csi_V1_DeleteVolumeGroupSnapshotRequest: CarriesSecrets {}
extension Csi_V1_GetVolumeGroupSnapshotRequest: CarriesSecrets {}
extension Csi_V1_GetMetadataAllocatedRequest: CarriesSecrets {}
extension Csi_V1_GetMetadataDeltaRequest: CarriesSecrets {}

extension Csi_V1_ControllerPublishVolumeRequest: CarriesCapability {}
extension Csi_V1_ControllerExpandVolumeRequest: CarriesCapability {}
extension Csi_V1_NodeStageVolumeRequest: CarriesCapability {}
extension Csi_V1_NodePublishVolumeRequest: CarriesCapability {}
extension Csi_V1_NodeExpandVolumeRequest: CarriesCapability {}

extension Csi_V1_CreateVolumeRequest: CarriesCapabilities {}
extension Csi_V1_ValidateVolumeCapabilitiesRequest: CarriesCapabilities {}
extension Csi_V1_GetCapacityRequest: CarriesCapabilities {}

/// The volume or snapshot that a message is about, for the log.
package enum Subject {
    package static func volume(of message: any Message) -> String? {
        let text: String
        switch message {
        case let one as any CarriesVolumeID: text = one.volumeID
        case let one as any CarriesSnapshotID: text = one.snapshotID
        case let created as Csi_V1_CreateVolumeResponse: text = created.volume.volumeID
        case let created as Csi_V1_CreateSnapshotResponse: text = created.snapshot.snapshotID
        default: return nil
        }
        // Whatever a caller sent; ids of ours are shorter.
        return text.isEmpty ? nil : String(text.prefix(FieldLimits.string))
    }
}

protocol CarriesVolumeID: Message {
    var volumeID: String { get }
}

protocol CarriesSnapshotID: Message {
    var snapshotID: String { get }
}

extension Csi_V1_DeleteVolumeRequest: CarriesVolumeID {}
extension Csi_V1_ControllerPublishVolumeRequest: CarriesVolumeID {}
extension Csi_V1_ControllerUnpublishVolumeRequest: CarriesVolumeID {}
extension Csi_V1_ValidateVolumeCapabilitiesRequest: CarriesVolumeID {}
extension Csi_V1_ControllerGetVolumeRequest: CarriesVolumeID {}
extension Csi_V1_ControllerModifyVolumeRequest: CarriesVolumeID {}
extension Csi_V1_ControllerExpandVolumeRequest: CarriesVolumeID {}
extension Csi_V1_NodeStageVolumeRequest: CarriesVolumeID {}
extension Csi_V1_NodeUnstageVolumeRequest: CarriesVolumeID {}
extension Csi_V1_NodePublishVolumeRequest: CarriesVolumeID {}
extension Csi_V1_NodeUnpublishVolumeRequest: CarriesVolumeID {}
extension Csi_V1_NodeGetVolumeStatsRequest: CarriesVolumeID {}
extension Csi_V1_NodeExpandVolumeRequest: CarriesVolumeID {}
extension Csi_V1_DeleteSnapshotRequest: CarriesSnapshotID {}
extension Csi_V1_GetSnapshotRequest: CarriesSnapshotID {}
