package import CSIProto
package import GRPCCore

// The optional calls that are not advertised.

extension Csi_V1_Controller.SimpleServiceProtocol {
    package func createSnapshot(
        request: Csi_V1_CreateSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_CreateSnapshotResponse { throw RequestError(unimplemented: context) }

    package func deleteSnapshot(
        request: Csi_V1_DeleteSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_DeleteSnapshotResponse { throw RequestError(unimplemented: context) }

    package func listSnapshots(
        request: Csi_V1_ListSnapshotsRequest, context: ServerContext
    ) async throws -> Csi_V1_ListSnapshotsResponse { throw RequestError(unimplemented: context) }

    package func getSnapshot(
        request: Csi_V1_GetSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_GetSnapshotResponse { throw RequestError(unimplemented: context) }

    package func controllerExpandVolume(
        request: Csi_V1_ControllerExpandVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerExpandVolumeResponse { throw RequestError(unimplemented: context) }

    package func controllerGetVolume(
        request: Csi_V1_ControllerGetVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerGetVolumeResponse { throw RequestError(unimplemented: context) }

    package func controllerModifyVolume(
        request: Csi_V1_ControllerModifyVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_ControllerModifyVolumeResponse { throw RequestError(unimplemented: context) }
}

extension Csi_V1_Node.SimpleServiceProtocol {
    package func nodeGetVolumeStats(
        request: Csi_V1_NodeGetVolumeStatsRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeGetVolumeStatsResponse { throw RequestError(unimplemented: context) }

    package func nodeExpandVolume(
        request: Csi_V1_NodeExpandVolumeRequest, context: ServerContext
    ) async throws -> Csi_V1_NodeExpandVolumeResponse { throw RequestError(unimplemented: context) }
}

extension RequestError {
    fileprivate init(unimplemented context: ServerContext) {
        self.init(.unimplemented, "\(context.descriptor.method) is not supported by this driver")
    }
}
