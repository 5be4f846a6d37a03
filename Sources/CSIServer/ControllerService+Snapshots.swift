package import CSIProto
import DeviceManager
package import GRPCCore
import SwiftProtobuf

// Snapshots: they exist from their cut on, independently of their volume.
extension ControllerService {
    package func createSnapshot(
        request: Csi_V1_CreateSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_CreateSnapshotResponse {
        guard pool.canSnapshot else { throw RequestError(unimplemented: context) }
        let wanted = try SnapshotRequest(request, ignoresParameters: pool.reach == .anywhere)
        try pool.checkReady()
        let record = try await CallSecrets.$current.withValue(request.secrets) {
            try await gate.run(pool.key(forSnapshot: wanted.name), pool.key(forID: wanted.volume)) {
                try await pool.createSnapshot(wanted)
            }
        }
        return .with { $0.snapshot = message(snapshot: record) }
    }

    package func deleteSnapshot(
        request: Csi_V1_DeleteSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_DeleteSnapshotResponse {
        guard pool.canSnapshot else { throw RequestError(unimplemented: context) }
        let text = try FieldLimits.required(request.snapshotID, "snapshot_id")
        try FieldLimits.map(request.secrets, "secrets")
        guard let id = pool.volumeID(text) else { return .init() }
        try pool.checkReady()
        try await CallSecrets.$current.withValue(request.secrets) {
            try await gate.run(pool.key(forID: text)) { try await pool.deleteSnapshot(id) }
        }
        return .init()
    }

    package func getSnapshot(
        request: Csi_V1_GetSnapshotRequest, context: ServerContext
    ) async throws -> Csi_V1_GetSnapshotResponse {
        guard pool.canSnapshot else { throw RequestError(unimplemented: context) }
        let text = try FieldLimits.required(request.snapshotID, "snapshot_id")
        try FieldLimits.map(request.secrets, "secrets")
        try pool.checkReady()
        let record = try await CallSecrets.$current.withValue(request.secrets) {
            guard let id = pool.volumeID(text) else { return VolumeRecord?.none }
            return try await pool.snapshot(id)
        }
        guard let record else {
            throw RequestError(.notFound, "snapshot \"\(text)\" does not exist")
        }
        return .with { $0.snapshot = message(snapshot: record) }
    }

    package func listSnapshots(
        request: Csi_V1_ListSnapshotsRequest, context: ServerContext
    ) async throws -> Csi_V1_ListSnapshotsResponse {
        guard pool.canSnapshot else { throw RequestError(unimplemented: context) }
        let wanted = try Page(maxEntries: request.maxEntries, startingToken: request.startingToken, pool)
        try FieldLimits.map(request.secrets, "secrets")
        try pool.checkReady()
        let source = request.sourceVolumeID.isEmpty ? nil : request.sourceVolumeID
        if !request.snapshotID.isEmpty {
            return try await CallSecrets.$current.withValue(request.secrets) {
                try await listOne(request.snapshotID, source)
            }
        }
        let page = try await CallSecrets.$current.withValue(request.secrets) {
            try await pool.snapshots(source: source, after: wanted.last, limit: wanted.limit)
        }
        return .with { response in
            response.entries = page.volumes.map { record in .with { $0.snapshot = message(snapshot: record) } }
            if page.hasMore { response.nextToken = page.volumes.last?.id ?? "" }
        }
    }

    /// One that does not exist, or is of another volume, is no error: the list is empty.
    private func listOne(_ text: String, _ source: String?) async throws -> Csi_V1_ListSnapshotsResponse {
        guard let id = pool.volumeID(text), let record = try await pool.snapshot(id),
            source == nil || record.source?.id == source
        else { return .init() }
        return .with { $0.entries = [.with { $0.snapshot = message(snapshot: record) }] }
    }

    private func message(snapshot record: VolumeRecord) -> Csi_V1_Snapshot {
        // A namespace is larger than the claim that it was made for, and provisioners refuse to restore a snapshot into a
        // smaller claim; 0 is "unknown", and a restore is made as large as its snapshot anyway.
        let isNamespace = record.location.flatMap(ManagerKind.init(location:)) == .direct
        return .with {
            $0.snapshotID = record.id
            $0.sourceVolumeID = record.source?.id ?? ""
            $0.sizeBytes = isNamespace ? 0 : Int64(clamping: record.size)
            $0.creationTime = .init(roundingTimeIntervalSince1970: record.created ?? 0)
            $0.readyToUse = record.phase == .ready
        }
    }
}
