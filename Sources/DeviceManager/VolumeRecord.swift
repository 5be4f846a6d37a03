/// What the backend cannot hold about a volume; one JSON file each, kept by `VolumeRecords`.
///
/// It is written before the device is touched (`creating`, `deleting`, `formatting`), so that after a crash it is known
/// what was under way.
package struct VolumeRecord: Sendable, Equatable {
    package enum Phase: String, Sendable, Codable {
        /// Never handed out: start-up removes the device and the record.
        case creating
        /// Handed out without a device, whose room is set aside: it is made with the first publication.
        case promised
        case ready
        /// Will be deleted: start-up goes on with it.
        case deleting
    }

    /// What is known about the file system; mkfs needs proof of blankness.
    package enum Format: Sendable, Equatable {
        case never
        /// mkfs of this type began and may not have ended.
        case formatting(String)
        case formatted(String)
        /// Given out as a raw block device: only its user knows what is on it.
        case block
        /// The record was taken over or rebuilt: only the device can tell.
        case unknown
    }

    /// To whom ControllerPublishVolume gave the volume.
    package struct Publication: Sendable, Equatable, Codable {
        package let node: String
        package let readOnly: Bool
        package let capability: String

        package init(node: String, readOnly: Bool, capability: String) {
            self.node = node
            self.readOnly = readOnly
            self.capability = capability
        }
    }

    /// What the content was copied from when the volume or snapshot was made.
    package enum Source: Sendable, Equatable, Codable {
        case volume(String)
        case snapshot(String)

        package var id: String {
            switch self {
            case .volume(let id), .snapshot(let id): id
            }
        }
    }

    /// What the device is to CSI.
    package enum Kind: String, Sendable, Codable {
        case volume
        /// A volume that lives with one pod: made by NodePublishVolume, deleted by NodeUnpublishVolume, never listed.
        case ephemeral
        /// A copy of `source` that nobody changes.
        case snapshot
    }

    /// What only volumes of storage nodes have.
    package struct RemoteFacts: Sendable, Equatable {
        package let context: [String: String]
        package let publishedNodes: [String]
        /// Whether a node that uses it must look for a new size.
        package let needsRescan: Bool

        package init(context: [String: String], publishedNodes: [String], needsRescan: Bool) {
            self.context = context
            self.publishedNodes = publishedNodes
            self.needsRescan = needsRescan
        }
    }

    package let id: String
    package var kind: Kind
    package var source: Source?
    /// When it was made, in seconds since 1970; nil in records that were written before this was kept.
    package var created: Double?
    /// The file system of `source` may be frozen for the copy: whoever takes the creation back thaws it.
    package var isFreezing = false
    /// While the volume grows: its size before.
    package var expandedFrom: UInt64?
    /// The CSI name; empty when the record was rebuilt from the backend, which has only a hash of it.
    package var name: String
    /// Usable bytes; while `creating`, the bytes asked for.
    package var size: UInt64
    package var parameters: VolumeParameters
    /// The capabilities that CreateVolume was asked for, as sorted texts without mount flags (those may be secrets).
    package var capabilities: [String]
    package var phase: Phase
    package var format: Format
    package var publication: Publication?
    /// Where the device is or will be, such as a volume group; nil in a record taken over from pmem-csi until it was seen.
    package var location: String?
    /// Bytes from the start that DeleteVolume has overwritten so far.
    package var erased: UInt64
    /// What a storage node says of its volume; never on disk, since such volumes have no record of their own.
    package var remote: RemoteFacts?

    package init(spec: VolumeSpec, capabilities: [String], location: String, created: Double) {
        id = spec.id.rawValue
        kind = spec.kind
        source = spec.source
        self.created = created
        name = spec.name
        size = spec.size.required
        parameters = spec.parameters
        self.capabilities = capabilities
        self.location = location
        phase = .creating
        format = .never
        erased = 0
    }

    /// A record for a volume that only the backend knew.
    package init(
        adopting volume: Volume, name: String, parameters: VolumeParameters, kind: Kind = .volume,
        source: Source? = nil
    ) {
        id = volume.id.rawValue
        self.kind = kind
        self.source = source
        self.name = name
        size = volume.size
        self.parameters = parameters
        capabilities = []
        phase = .ready
        format = .unknown
        location = volume.location
        erased = 0
    }
}

/// Records written before a field was known have its default.
extension VolumeRecord: Codable {
    private enum CodingKeys: CodingKey {
        case id, kind, source, created, isFreezing, expandedFrom, name, size, parameters, capabilities, phase, format
        case publication, location, erased
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        id = try values.decode(String.self, forKey: .id)
        kind = try values.decodeIfPresent(Kind.self, forKey: .kind) ?? .volume
        source = try values.decodeIfPresent(Source.self, forKey: .source)
        created = try values.decodeIfPresent(Double.self, forKey: .created)
        isFreezing = try values.decodeIfPresent(Bool.self, forKey: .isFreezing) ?? false
        expandedFrom = try values.decodeIfPresent(UInt64.self, forKey: .expandedFrom)
        name = try values.decode(String.self, forKey: .name)
        size = try values.decode(UInt64.self, forKey: .size)
        parameters = try values.decode(VolumeParameters.self, forKey: .parameters)
        capabilities = try values.decode([String].self, forKey: .capabilities)
        phase = try values.decode(Phase.self, forKey: .phase)
        format = try values.decode(Format.self, forKey: .format)
        publication = try values.decodeIfPresent(Publication.self, forKey: .publication)
        location = try values.decodeIfPresent(String.self, forKey: .location)
        erased = try values.decode(UInt64.self, forKey: .erased)
    }
}

/// In JSON a word, and behind it the file system: `never`, `formatting ext4`, `formatted ext4`, `block`, `unknown`.
extension VolumeRecord.Format: Codable, CustomStringConvertible {
    package var description: String {
        switch self {
        case .never: "never"
        case .formatting(let type): "formatting \(type)"
        case .formatted(let type): "formatted \(type)"
        case .block: "block"
        case .unknown: "unknown"
        }
    }

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        let words = text.split(separator: " ").map(String.init)
        switch (words.first, words.dropFirst().first, words.count) {
        case ("never", nil, 1): self = .never
        case ("formatting", let type?, 2): self = .formatting(type)
        case ("formatted", let type?, 2): self = .formatted(type)
        case ("block", nil, 1): self = .block
        case ("unknown", nil, 1): self = .unknown
        default:
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\"\(text)\" is no format of a volume"))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
