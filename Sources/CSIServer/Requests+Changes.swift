import CSIProto
import DeviceManager

/// Parameters that may change during a volume's life, checked: none but `eraseafter`.
package struct MutableParameters: Sendable {
    let values: [String: String]

    init(_ values: [String: String]) throws {
        try FieldLimits.map(values, "mutable_parameters")
        for key in values.keys.sorted() where !["eraseafter", "eraseAfter"].contains(key) {
            guard !VolumeParameters.isKubernetes(key) else { continue }
            throw RequestError(
                .invalidArgument, "mutable_parameters: \"\(key)\" cannot be changed; only eraseafter can")
        }
        // Its value, before anything is changed.
        var parameters = VolumeParameters()
        try parameters.apply(values)
        self.values = values
    }
}

/// A ControllerPublishVolume request, checked.
package struct PublishRequest: Sendable {
    let publication: VolumeRecord.Publication
    /// As it came, to be passed on.
    let message: Csi_V1_ControllerPublishVolumeRequest

    init(_ request: Csi_V1_ControllerPublishVolumeRequest) throws(RequestError) {
        _ = try FieldLimits.required(request.volumeID, "volume_id")
        let node = try FieldLimits.required(request.nodeID, "node_id", limit: FieldLimits.nodeID)
        let capability = try VolumeCapability(
            supported: request.volumeCapability, isPresent: request.hasVolumeCapability)
        try FieldLimits.map(request.secrets, "secrets")
        try FieldLimits.map(request.volumeContext, "volume_context")
        publication = VolumeRecord.Publication(node: node, readOnly: request.readonly, capability: capability.text)
        message = request
    }
}

/// A CreateSnapshot request, checked.
package struct SnapshotRequest: Sendable {
    let name: String
    /// The id of the volume that it is to be a snapshot of.
    let volume: String

    init(_ request: Csi_V1_CreateSnapshotRequest) throws(RequestError) {
        volume = try FieldLimits.required(request.sourceVolumeID, "source_volume_id")
        name = try FieldLimits.name(request.name, "name")
        try FieldLimits.map(request.secrets, "secrets")
        try FieldLimits.map(request.parameters, "parameters")
        for key in request.parameters.keys.sorted() where !VolumeParameters.isKubernetes(key) {
            throw RequestError(.invalidArgument, "parameters: unknown key: \"\(key)\"; a snapshot has none")
        }
    }
}

/// Where a list goes on: the last id of the page before, so what comes and goes between pages does no harm.
struct Page: Sendable {
    let last: VolumeID?
    let limit: Int

    init(maxEntries: Int32, startingToken: String) throws(RequestError) {
        guard maxEntries >= 0 else {
            throw RequestError(.invalidArgument, "max_entries is \(maxEntries); it may not be negative")
        }
        last = VolumeID(startingToken)
        limit = Int(maxEntries)
        guard last != nil || startingToken.isEmpty else {
            throw RequestError(
                .aborted, "starting_token \"\(startingToken.prefix(128))\" is not one of ours; begin anew")
        }
    }
}
