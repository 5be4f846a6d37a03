import CSIProto
import Host

/// One requested way of using a volume, checked for form; whether it can be honoured is a separate question.
struct VolumeCapability: Sendable, Equatable {
    enum Access: Sendable, Equatable {
        case mount(filesystem: String, flags: [String])
        case block
    }

    typealias Mode = Csi_V1_VolumeCapability.AccessMode.Mode

    let access: Access
    let mode: Mode

    /// The modes of a volume that exists on one node.
    private static let modes: [Mode: String] = [
        .singleNodeWriter: "SINGLE_NODE_WRITER", .singleNodeReaderOnly: "SINGLE_NODE_READER_ONLY",
        .singleNodeSingleWriter: "SINGLE_NODE_SINGLE_WRITER", .singleNodeMultiWriter: "SINGLE_NODE_MULTI_WRITER",
    ]

    /// What is wrong with it for a volume of ours; nil when nothing is.
    var problem: String? {
        guard Self.modes[mode] != nil else {
            return "access mode \(mode) is not supported: a volume exists on one node, "
                + "so it can be \(Self.modes.values.sorted().joined(separator: ", "))"
        }
        guard case .mount(let filesystem, _) = access else { return nil }
        let supported = FilesystemType.allCases.map(\.rawValue)
        guard !supported.contains(filesystem) else { return nil }
        return "file system \"\(filesystem)\" is not supported; it can be \(supported.joined(separator: " or "))"
    }

    func allows(_ type: String) -> Bool {
        if case .mount(type, _) = access { true } else { false }
    }

    var isReadOnly: Bool { mode == .singleNodeReaderOnly }

    /// As it stands in a record: without the mount flags, which may be secrets.
    var text: String {
        let mode = Self.modes[mode] ?? "\(mode)"
        return switch access {
        case .mount(let filesystem, _): "mount \(filesystem) \(mode)"
        case .block: "block \(mode)"
        }
    }
}
