import CSIProto
import GRPCCore
import SwiftProtobuf

/// What binds every answer, whatever was asked: defined codes, messages for people, field limits, no secret.
enum Rules {
    /// The codes of the specification's tables, and the two that gRPC adds for a server that is not there yet.
    static let codes: Set<RPCError.Code> = [
        .invalidArgument, .notFound, .alreadyExists, .resourceExhausted, .failedPrecondition, .aborted, .outOfRange,
        .unimplemented, .unauthenticated, .permissionDenied, .unavailable,
    ]

    static func check(_ error: RPCError, of title: String) throws {
        let seen = "\(title): \(describe(error))"
        try require(error.code != .deadlineExceeded, "\(seen): no answer in time")
        try require(codes.contains(error.code), "\(seen): not a code that the specification defines")
        try require(!error.message.isEmpty, "\(title): \(error.code) without a message")
        try require(!error.message.contains(Driver.marker), "\(title): the message contains a secret")
        try require(
            error.metadata[stringValues: "grpc-status-details-bin"].first { _ in true } == nil,
            "\(seen): status.details is not empty")
    }

    static func check(_ answer: any Message, to request: any Call) throws {
        for problem in problems(answer) { throw Failure("\(type(of: request).title): \(problem)") }
        guard let request = request as? Csi_V1_CreateVolumeRequest,
            let volume = (answer as? Csi_V1_CreateVolumeResponse)?.volume
        else { return }
        let (size, range) = (volume.capacityBytes, request.capacityRange)
        try require(size >= range.requiredBytes, "CreateVolume: \(size) bytes, \(range.requiredBytes) were required")
        try require(
            range.limitBytes == 0 || size <= range.limitBytes, "CreateVolume: \(size) bytes, limit \(range.limitBytes)")
    }

    private static func problems(_ answer: any Message) -> [String] {
        switch answer {
        case let answer as Csi_V1_CreateVolumeResponse: volume(answer.volume)
        case let answer as Csi_V1_ControllerGetVolumeResponse:
            volume(answer.volume) + answer.status.publishedNodeIds.flatMap { text($0, "published_node_ids", 256) }
        case let answer as Csi_V1_ListVolumesResponse:
            answer.entries.flatMap { volume($0.volume) } + text(answer.nextToken, "next_token", isRequired: false)
        case let answer as Csi_V1_CreateSnapshotResponse: snapshot(answer.snapshot)
        case let answer as Csi_V1_GetSnapshotResponse: snapshot(answer.snapshot)
        case let answer as Csi_V1_ListSnapshotsResponse:
            answer.entries.flatMap { snapshot($0.snapshot) } + text(answer.nextToken, "next_token", isRequired: false)
        case let answer as Csi_V1_ControllerPublishVolumeResponse: map(answer.publishContext, "publish_context")
        case let answer as Csi_V1_NodeGetInfoResponse:
            text(answer.nodeID, "node_id", 256) + topology(answer.accessibleTopology)
        case let answer as Csi_V1_GetPluginInfoResponse:
            text(answer.name, "name", 63) + text(answer.vendorVersion, "vendor_version")
                + map(answer.manifest, "manifest")
        default: []
        }
    }

    private static func volume(_ volume: Csi_V1_Volume) -> [String] {
        text(volume.volumeID, "volume_id") + map(volume.volumeContext, "volume_context")
            + (volume.capacityBytes < 0 ? ["capacity_bytes is negative"] : [])
            + volume.accessibleTopology.flatMap(topology)
    }

    private static func snapshot(_ snapshot: Csi_V1_Snapshot) -> [String] {
        text(snapshot.snapshotID, "snapshot_id") + text(snapshot.sourceVolumeID, "source_volume_id")
            + (snapshot.hasCreationTime && snapshot.creationTime.seconds > 0 ? [] : ["creation_time is missing"])
            + (snapshot.sizeBytes < 0 ? ["size_bytes is negative"] : [])
    }

    private static func text(_ value: String, _ field: String, _ limit: Int = 128, isRequired: Bool = true) -> [String]
    {
        if value.isEmpty { return isRequired ? ["\(field) is missing"] : [] }
        return value.utf8.count <= limit ? [] : ["\(field) has \(value.utf8.count) bytes, \(limit) are allowed"]
    }

    static func bytes(_ map: [String: String]) -> Int { map.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count } }

    private static func map(_ value: [String: String], _ field: String) -> [String] {
        bytes(value) <= 4096 ? [] : ["\(field) has \(bytes(value)) bytes in all, 4096 are allowed"]
    }

    private static func topology(_ topology: Csi_V1_Topology) -> [String] {
        topology.segments.flatMap { key, value in
            let parts = key.split(separator: "/", omittingEmptySubsequences: false)
            let isShort = parts.count <= 2 && parts.allSatisfy { 1...63 ~= $0.utf8.count } && value.utf8.count <= 63
            return isShort ? [] : ["topology segment \(key)=\(value) is not well-formed"]
        }
    }
}
