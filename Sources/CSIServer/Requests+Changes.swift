import CSIProto
import DeviceManager

/// Parameters that may change during a volume's life, checked: none but `eraseafter`, or the rate limits of a logical
/// volume.
package struct MutableParameters: Sendable {
    let values: [String: String]

    init(_ values: [String: String], _ defaults: VolumeParameters) throws {
        try FieldLimits.map(values, "mutable_parameters")
        let known = defaults.lvol == nil ? ["eraseafter", "eraseAfter"] : LvolParameters.limitKeys
        for key in values.keys.sorted() where !known.contains(key) {
            guard !VolumeParameters.isKubernetes(key) else { continue }
            throw RequestError(
                .invalidArgument,
                "mutable_parameters: \"\(key)\" cannot be changed; only "
                    + "\(defaults.lvol == nil ? "eraseafter" : known.joined(separator: ", ")) can")
        }
        // Its value, before anything is changed.
        var parameters = defaults
        try parameters.apply(values)
        self.values = values
    }
}

/// A ControllerPublishVolume request, checked.
package struct PublishRequest: Sendable {
    let publication: VolumeRecord.Publication
    let mode: VolumeCapability.Mode
    /// As it came, to be passed on.
    let message: Csi_V1_ControllerPublishVolumeRequest

    init(
        _ request: Csi_V1_ControllerPublishVolumeRequest, reach: VolumeCapability.Reach = .node
    ) throws(RequestError) {
        _ = try FieldLimits.required(request.volumeID, "volume_id")
        let node = try FieldLimits.required(request.nodeID, "node_id", limit: FieldLimits.nodeID)
        let capability = try VolumeCapability(
            supported: request.volumeCapability, isPresent: request.hasVolumeCapability, reach: reach)
        try FieldLimits.map(request.secrets, "secrets")
        try FieldLimits.map(request.volumeContext, "volume_context")
        mode = capability.mode
        publication = VolumeRecord.Publication(node: node, readOnly: request.readonly, capability: capability.text)
        message = request
    }
}

/// A CreateSnapshot request, checked.
package struct SnapshotRequest: Sendable {
    let name: String
    /// The id of the volume that it is to be a snapshot of.
    let volume: String

    /// `ignoresParameters`: as spdk-csi does, whose classes have some.
    init(_ request: Csi_V1_CreateSnapshotRequest, ignoresParameters: Bool = false) throws(RequestError) {
        volume = try FieldLimits.required(request.sourceVolumeID, "source_volume_id")
        name = try FieldLimits.name(request.name, "name")
        try FieldLimits.map(request.secrets, "secrets")
        try FieldLimits.map(request.parameters, "parameters")
        for key in request.parameters.keys.sorted() where !ignoresParameters && !VolumeParameters.isKubernetes(key) {
            throw RequestError(.invalidArgument, "parameters: unknown key: \"\(key)\"; a snapshot has none")
        }
    }
}

/// Where a list goes on: the last id of the page before, so what comes and goes between pages does no harm.
struct Page: Sendable {
    let last: VolumeID?
    let limit: Int

    init(maxEntries: Int32, startingToken: String, _ pool: any VolumePool) throws(RequestError) {
        guard maxEntries >= 0 else {
            throw RequestError(.invalidArgument, "max_entries is \(maxEntries); it may not be negative")
        }
        last = pool.volumeID(startingToken)
        limit = Int(maxEntries)
        guard last != nil || startingToken.isEmpty else {
            throw RequestError(
                .aborted, "starting_token \"\(startingToken.prefix(128))\" is not one of ours; begin anew")
        }
    }
}
