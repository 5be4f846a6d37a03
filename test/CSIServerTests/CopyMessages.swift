import CSIProto
import DeviceManager
import SwiftProtobuf

// Snapshots, restores, clones and growth as the Kubernetes sidecars ask for them.

extension Csi_V1_CreateVolumeRequest {
    func from(snapshot id: String) -> Self { with { $0.volumeContentSource.snapshot.snapshotID = id } }

    func from(volume id: String) -> Self { with { $0.volumeContentSource.volume.volumeID = id } }
}

extension Driver {
    @discardableResult
    func snapshot(_ name: String, of volume: String) async throws -> Csi_V1_Snapshot {
        try await controller.createSnapshot(
            .with {
                $0.name = name
                $0.sourceVolumeID = volume
            }
        ).snapshot
    }

    func deleteSnapshot(_ id: String) async throws {
        _ = try await controller.deleteSnapshot(.with { $0.snapshotID = id })
    }

    func getSnapshot(_ id: String) async throws -> Csi_V1_Snapshot {
        try await controller.getSnapshot(.with { $0.snapshotID = id }).snapshot
    }

    func snapshots(
        _ change: (inout Csi_V1_ListSnapshotsRequest) -> Void = { _ in }
    ) async throws -> Csi_V1_ListSnapshotsResponse {
        var request = Csi_V1_ListSnapshotsRequest()
        change(&request)
        return try await controller.listSnapshots(request)
    }

    func snapshotIDs(_ change: (inout Csi_V1_ListSnapshotsRequest) -> Void = { _ in }) async throws -> [String] {
        try await snapshots(change).entries.map(\.snapshot.snapshotID)
    }

    @discardableResult
    func expand(
        _ id: String, to size: Int64, limit: Int64 = 0, _ capability: Csi_V1_VolumeCapability? = nil
    ) async throws -> Csi_V1_ControllerExpandVolumeResponse {
        try await controller.controllerExpandVolume(
            .with {
                $0.volumeID = id
                $0.capacityRange.requiredBytes = size
                $0.capacityRange.limitBytes = limit
                if let capability { $0.volumeCapability = capability }
            })
    }

    func modify(_ id: String, _ changes: [String: String]) async throws {
        _ = try await controller.controllerModifyVolume(
            .with {
                $0.volumeID = id
                $0.mutableParameters = changes
            })
    }

    func volume(_ id: String) async throws -> Csi_V1_ControllerGetVolumeResponse {
        try await controller.controllerGetVolume(.with { $0.volumeID = id })
    }
}
