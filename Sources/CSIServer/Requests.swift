import CSIProto
import DeviceManager

/// A CreateVolume request, checked.
package struct CreateRequest: Sendable {
    let name: String
    let size: SizeRange
    let parameters: VolumeParameters
    let capabilities: [String]
    let topology: TopologyRequirement
    let source: VolumeRecord.Source?
    /// As it came, to be passed on.
    let message: Csi_V1_CreateVolumeRequest

    init(
        _ request: Csi_V1_CreateVolumeRequest, defaults: VolumeParameters, reach: VolumeCapability.Reach = .node
    ) throws {
        name = try FieldLimits.name(request.name, "name")
        let capabilities = try Self.capabilities(request.volumeCapabilities)
        try FieldLimits.map(request.parameters, "parameters")
        try FieldLimits.map(request.secrets, "secrets")
        let mutable = try MutableParameters(request.mutableParameters, defaults)
        source = try Self.source(request)
        for (index, capability) in capabilities.enumerated() {
            guard let problem = capability.problem(reach) else { continue }
            throw RequestError(.invalidArgument, "volume_capabilities[\(index)]: \(problem)")
        }
        size = try SizeRange(request.capacityRange)
        parameters = try VolumeParameters(request.parameters, mutable: mutable.values, defaults: defaults)
        self.capabilities = Set(capabilities.map(\.text)).sorted()
        topology = try TopologyRequirement(request.accessibilityRequirements)
        message = request
    }

    /// What the call holds in the gate besides its own volume.
    var keys: Set<String> { source.map { [$0.id] } ?? [] }

    /// At least the size of what is copied, and that size where nothing is said.
    func size(from original: VolumeRecord?) throws(DeviceError) -> SizeRange {
        guard let original else { return size }
        guard original.size <= size.limit ?? .max else {
            throw DeviceError(
                .outOfRange,
                "capacity_range: limit_bytes \(size.limit ?? 0) is below the \(original.size) bytes of \(original.title)"
            )
        }
        return SizeRange(required: max(size.required, original.size), limit: size.limit)
    }

    private static func source(_ request: Csi_V1_CreateVolumeRequest) throws(RequestError) -> VolumeRecord.Source? {
        guard request.hasVolumeContentSource else { return nil }
        switch request.volumeContentSource.type {
        case .snapshot(let source):
            return .snapshot(
                try FieldLimits.required(source.snapshotID, "volume_content_source.snapshot.snapshot_id"))
        case .volume(let source):
            return .volume(try FieldLimits.required(source.volumeID, "volume_content_source.volume.volume_id"))
        case nil:
            throw RequestError(.invalidArgument, "volume_content_source has neither snapshot nor volume")
        }
    }

    static func capabilities(_ messages: [Csi_V1_VolumeCapability]) throws(RequestError) -> [VolumeCapability] {
        guard !messages.isEmpty else { throw RequestError(.invalidArgument, "volume_capabilities is missing") }
        var capabilities: [VolumeCapability] = []
        for (index, message) in messages.enumerated() {
            capabilities.append(try VolumeCapability(message, "volume_capabilities[\(index)]"))
        }
        return capabilities
    }
}

extension SizeRange {
    /// Throws where a size is negative or the limit is below what is required.
    init(_ message: Csi_V1_CapacityRange) throws(RequestError) {
        guard message.requiredBytes >= 0, message.limitBytes >= 0 else {
            throw RequestError(
                .invalidArgument,
                "capacity_range: required_bytes \(message.requiredBytes) and limit_bytes \(message.limitBytes) may not be negative"
            )
        }
        guard message.limitBytes == 0 || message.limitBytes >= message.requiredBytes else {
            throw RequestError(
                .invalidArgument,
                "capacity_range: limit_bytes \(message.limitBytes) is below required_bytes \(message.requiredBytes)")
        }
        self.init(
            required: UInt64(message.requiredBytes), limit: message.limitBytes == 0 ? nil : UInt64(message.limitBytes))
    }
}

extension VolumeCapability {
    init(_ message: Csi_V1_VolumeCapability, _ field: String) throws(RequestError) {
        switch message.accessType {
        case .mount(let mount):
            let flagBytes = mount.mountFlags.reduce(0) { $0 + $1.utf8.count }
            guard flagBytes <= FieldLimits.map else {
                throw RequestError(
                    .invalidArgument, "\(field).mount.mount_flags have \(flagBytes) bytes; 4096 are allowed")
            }
            guard mount.fsType.utf8.count <= FieldLimits.string else {
                throw RequestError(.invalidArgument, "\(field).mount.fs_type is longer than 128 bytes")
            }
            access = .mount(filesystem: mount.fsType.isEmpty ? "ext4" : mount.fsType, flags: mount.mountFlags)
        case .block: access = .block
        case nil: throw RequestError(.invalidArgument, "\(field) has neither mount nor block")
        }
        guard message.hasAccessMode, message.accessMode.mode != .unknown else {
            throw RequestError(.invalidArgument, "\(field).access_mode is missing")
        }
        mode = message.accessMode.mode
    }

    /// Of a request that may leave it out.
    static func optional(
        _ request: some CarriesCapability, reach: Reach = .node
    ) throws(RequestError) -> VolumeCapability? {
        guard request.hasVolumeCapability else { return nil }
        return try VolumeCapability(supported: request.volumeCapability, isPresent: true, reach: reach)
    }

    /// The one capability of a publish or stage request, which must also be one that can be honoured.
    init(
        supported message: Csi_V1_VolumeCapability, isPresent: Bool, reach: Reach = .node
    ) throws(RequestError) {
        guard isPresent else { throw RequestError(.invalidArgument, "volume_capability is missing") }
        try self.init(message, "volume_capability")
        if let problem = problem(reach) { throw RequestError(.invalidArgument, "volume_capability: \(problem)") }
    }
}
