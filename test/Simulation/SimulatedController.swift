import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf

/// The calls to such nodes. Those that a measurement does not make are answered with nothing.
struct SimulatedController: Csi_V1_Controller.SimpleServiceProtocol {
    let nodes: SimulatedNodes

    func createVolume(
        request: Csi_V1_CreateVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_CreateVolumeResponse {
        try nodes.with(context) { node in
            let id = VolumeID(name: request.name, node: node.name).rawValue
            let volume = SimulatedNodes.volume(
                id, request.name, size: request.capacityRange.requiredBytes, on: node.name, nodes.driverName)
            if node.volumes.updateValue(volume, forKey: id) == nil { node.changes += 1 }
            return .with { $0.volume = volume }
        }
    }

    func deleteVolume(
        request: Csi_V1_DeleteVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_DeleteVolumeResponse {
        try nodes.with(context) { node in
            if node.volumes.removeValue(forKey: request.volumeID) != nil { node.changes += 1 }
            return .init()
        }
    }

    func listVolumes(
        request: Csi_V1_ListVolumesRequest, context: ServerContext
    ) async throws -> Csi_V1_ListVolumesResponse {
        try nodes.with(context) { node in
            .with { response in
                response.entries = node.volumes.values.map { volume in .with { $0.volume = volume } }
            }
        }
    }

    func getCapacity(
        request: Csi_V1_GetCapacityRequest, context: ServerContext
    ) async throws -> Csi_V1_GetCapacityResponse {
        try nodes.with(context) { node in
            let free = (Int64(1) << 40) - node.volumes.values.reduce(0) { $0 + $1.capacityBytes }
            return .with {
                $0.availableCapacity = free
                $0.maximumVolumeSize = .init(free)
            }
        }
    }

    func listSnapshots(
        request: Csi_V1_ListSnapshotsRequest, context: ServerContext
    ) async throws -> Csi_V1_ListSnapshotsResponse { .init() }

    func controllerPublishVolume(
        request: Csi_V1_ControllerPublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerPublishVolumeResponse { .init() }

    func controllerUnpublishVolume(
        request: Csi_V1_ControllerUnpublishVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerUnpublishVolumeResponse { .init() }

    func validateVolumeCapabilities(
        request: Csi_V1_ValidateVolumeCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_ValidateVolumeCapabilitiesResponse { .init() }

    func controllerGetCapabilities(
        request: Csi_V1_ControllerGetCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerGetCapabilitiesResponse { .init() }

    func createSnapshot(
        request: Csi_V1_CreateSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_CreateSnapshotResponse { .init() }

    func deleteSnapshot(
        request: Csi_V1_DeleteSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_DeleteSnapshotResponse { .init() }

    func getSnapshot(
        request: Csi_V1_GetSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_GetSnapshotResponse { .init() }

    func controllerExpandVolume(
        request: Csi_V1_ControllerExpandVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerExpandVolumeResponse { .init() }

    func controllerGetVolume(
        request: Csi_V1_ControllerGetVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerGetVolumeResponse { .init() }

    func controllerModifyVolume(
        request: Csi_V1_ControllerModifyVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerModifyVolumeResponse { .init() }
}
