import CSIProto
import SwiftProtobuf

/// The calls that can be made about one volume, in the order of a life in which all of them are right.
enum Act: String, CaseIterable {
    case create, validate, get, list, capacity, modify, expand, snapshot, listSnapshots, attach, stage, publish, stats
    case nodeExpand, unpublish, unstage, detach, deleteSnapshot, delete

    /// Nil where there is nothing to say in the call.
    func call(_ volume: Volume) -> (any Call)? {
        let driver = volume.driver
        return switch self {
        case .create: volume.request
        case .validate: volume.validation
        case .get: Csi_V1_ControllerGetVolumeRequest.with { $0.volumeID = volume.id }
        case .list: Csi_V1_ListVolumesRequest()
        case .capacity:
            driver.offers(.capacity)
                ? Csi_V1_GetCapacityRequest.with { $0.parameters = driver.settings.parameters } : nil
        case .modify:
            driver.settings.mutable.isEmpty
                ? nil
                : Csi_V1_ControllerModifyVolumeRequest.with {
                    ($0.volumeID, $0.mutableParameters) = (volume.id, driver.settings.mutable)
                }
        case .expand: volume.expansion(to: volume.size)
        case .snapshot: volume.snapshot(snapshotName(volume))
        case .listSnapshots: Csi_V1_ListSnapshotsRequest.with { $0.sourceVolumeID = volume.id }
        case .attach: volume.attachment
        case .stage: volume.stage
        case .publish: volume.publish
        case .stats: volume.stats
        case .nodeExpand: volume.nodeExpansion(to: volume.size)
        case .unpublish: volume.unpublish
        case .unstage: volume.unstage
        case .detach: volume.detachment
        case .deleteSnapshot:
            driver.ledger.holdings.snapshots.last.map { id in Csi_V1_DeleteSnapshotRequest.with { $0.snapshotID = id } }
        case .delete: volume.deletion
        }
    }

    private func snapshotName(_ volume: Volume) -> String { "s-\(volume.request.name)" }
}
