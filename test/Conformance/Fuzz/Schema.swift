/// What a field means, so that a mutation can be one that hurts.
indirect enum Kind: Sendable {
    case name, volume, snapshot, node, path, token, text
    /// An int32 or int64, a bool, an enumeration: a varint.
    case number, flag, choice
    case map
    case message([Field])
}

/// A field of a request, as csi.proto has it.
struct Field: Sendable {
    let number: Int
    let kind: Kind

    init(_ number: Int, _ kind: Kind) {
        self.number = number
        self.kind = kind
    }
}

/// The fields of every request.
enum Schema {
    static let capability = Kind.message([
        Field(1, .message([])), Field(2, .message([Field(1, .text), Field(2, .text), Field(3, .text)])),
        Field(3, .message([Field(1, .choice)])),
    ])
    static let range = Kind.message([Field(1, .number), Field(2, .number)])
    static let topology = Kind.message([Field(1, .map)])
    static let source = Kind.message([
        Field(1, .message([Field(1, .snapshot)])), Field(2, .message([Field(1, .volume)])),
    ])

    static let requests: [String: [Field]] = [
        "GetPluginInfo": [], "GetPluginCapabilities": [], "Probe": [], "ControllerGetCapabilities": [],
        "NodeGetCapabilities": [], "NodeGetInfo": [], "GroupControllerGetCapabilities": [],
        "CreateVolume": [
            Field(1, .name), Field(2, range), Field(3, capability), Field(4, .map), Field(5, .map), Field(6, source),
            Field(7, .message([Field(1, topology), Field(2, topology)])), Field(8, .map),
        ],
        "DeleteVolume": [Field(1, .volume), Field(2, .map)],
        "ControllerPublishVolume": [
            Field(1, .volume), Field(2, .node), Field(3, capability), Field(4, .flag), Field(5, .map), Field(6, .map),
        ],
        "ControllerUnpublishVolume": [Field(1, .volume), Field(2, .node), Field(3, .map)],
        "ValidateVolumeCapabilities": [
            Field(1, .volume), Field(2, .map), Field(3, capability), Field(4, .map), Field(5, .map), Field(6, .map),
        ],
        "ListVolumes": [Field(1, .number), Field(2, .token)],
        "GetCapacity": [Field(1, capability), Field(2, .map), Field(3, topology)],
        "CreateSnapshot": [Field(1, .volume), Field(2, .name), Field(3, .map), Field(4, .map)],
        "DeleteSnapshot": [Field(1, .snapshot), Field(2, .map)],
        "ListSnapshots": [
            Field(1, .number), Field(2, .token), Field(3, .volume), Field(4, .snapshot), Field(5, .map),
        ],
        "GetSnapshot": [Field(1, .snapshot), Field(2, .map)],
        "ControllerExpandVolume": [Field(1, .volume), Field(2, range), Field(3, .map), Field(4, capability)],
        "ControllerGetVolume": [Field(1, .volume)],
        "ControllerModifyVolume": [Field(1, .volume), Field(2, .map), Field(3, .map)],
        "NodeStageVolume": [
            Field(1, .volume), Field(2, .map), Field(3, .path), Field(4, capability), Field(5, .map), Field(6, .map),
        ],
        "NodeUnstageVolume": [Field(1, .volume), Field(2, .path)],
        "NodePublishVolume": [
            Field(1, .volume), Field(2, .map), Field(3, .path), Field(4, .path), Field(5, capability), Field(6, .flag),
            Field(7, .map), Field(8, .map),
        ],
        "NodeUnpublishVolume": [Field(1, .volume), Field(2, .path)],
        "NodeGetVolumeStats": [Field(1, .volume), Field(2, .path), Field(3, .path)],
        "NodeExpandVolume": [
            Field(1, .volume), Field(2, .path), Field(3, range), Field(4, .path), Field(5, capability), Field(6, .map),
        ],
        "CreateVolumeGroupSnapshot": [Field(1, .name), Field(2, .volume), Field(3, .map), Field(4, .map)],
        "DeleteVolumeGroupSnapshot": [Field(1, .snapshot), Field(2, .snapshot), Field(3, .map)],
        "GetVolumeGroupSnapshot": [Field(1, .snapshot), Field(2, .snapshot), Field(3, .map)],
    ]
}
