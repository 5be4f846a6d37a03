/// What the backend cannot hold about a volume; one JSON file each, kept by `VolumeRecords`.
///
/// It is written before the device is touched (`creating`, `deleting`, `formatting`), so that after a crash it is known
/// what was under way.
package struct VolumeRecord: Sendable, Equatable, Codable {
    package enum Phase: String, Sendable, Codable {
        /// Never handed out: start-up removes the device and the record.
        case creating
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

    package let id: String
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
    /// Where the device is or will be, a volume group; nil in a record taken over from pmem-csi until it was seen.
    package var location: String?
    /// Bytes from the start that DeleteVolume has overwritten so far.
    package var erased: UInt64

    package init(spec: VolumeSpec, capabilities: [String], location: String) {
        id = spec.id.rawValue
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
    package init(adopting volume: Volume, name: String, parameters: VolumeParameters) {
        id = volume.id.rawValue
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

/// In JSON a word, and behind it the file system: `never`, `formatting ext4`, `formatted ext4`, `unknown`.
extension VolumeRecord.Format: Codable, CustomStringConvertible {
    package var description: String {
        switch self {
        case .never: "never"
        case .formatting(let type): "formatting \(type)"
        case .formatted(let type): "formatted \(type)"
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
