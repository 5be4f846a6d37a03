import CSIProto
import Host

/// One requested way of using a volume, checked for form; whether it can be honoured is a separate question.
package struct VolumeCapability: Sendable, Equatable {
    enum Access: Sendable, Equatable {
        case mount(filesystem: String, flags: [String])
        case block
    }

    typealias Mode = Csi_V1_VolumeCapability.AccessMode.Mode

    let access: Access
    let mode: Mode

    /// Where a volume can be used.
    package enum Reach: Sendable {
        /// On the node where it exists.
        case node
        /// On every node, over a network.
        case anywhere
    }

    /// The modes of a volume that exists on one node.
    private static let modes: [Mode: String] = [
        .singleNodeWriter: "SINGLE_NODE_WRITER", .singleNodeReaderOnly: "SINGLE_NODE_READER_ONLY",
        .singleNodeSingleWriter: "SINGLE_NODE_SINGLE_WRITER", .singleNodeMultiWriter: "SINGLE_NODE_MULTI_WRITER",
    ]
    /// Several nodes at once: their file systems would not know of each other, so only readers share one.
    private static let sharedModes: [Mode: String] = [.multiNodeReaderOnly: "MULTI_NODE_READER_ONLY"]
    private static let sharedRawModes: [Mode: String] = [
        .multiNodeSingleWriter: "MULTI_NODE_SINGLE_WRITER", .multiNodeMultiWriter: "MULTI_NODE_MULTI_WRITER",
    ]

    private func modes(_ reach: Reach) -> [Mode: String] {
        guard reach == .anywhere else { return Self.modes }
        return Self.modes.merging(Self.sharedModes) { $1 }
            .merging(access == .block ? Self.sharedRawModes : [:]) { $1 }
    }

    /// What is wrong with it for a volume that exists on one node; nil when nothing is.
    var problem: String? { problem(.node) }

    func problem(_ reach: Reach) -> String? {
        guard modes(reach)[mode] != nil else {
            let possible = modes(reach).values.sorted().joined(separator: ", ")
            return reach == .node
                ? "access mode \(mode) is not supported: a volume exists on one node, so it can be \(possible)"
                : "access mode \(Self.sharedRawModes[mode] ?? "\(mode)") is not supported here (several writers share raw block devices only); "
                    + "it can be \(possible)"
        }
        guard case .mount(let filesystem, _) = access else { return nil }
        let supported = FilesystemType.allCases.map(\.rawValue)
        guard !supported.contains(filesystem) else { return nil }
        return "file system \"\(filesystem)\" is not supported; it can be \(supported.joined(separator: " or "))"
    }

    func allows(_ type: String) -> Bool {
        if case .mount(type, _) = access { true } else { false }
    }

    var isReadOnly: Bool { mode == .singleNodeReaderOnly || mode == .multiNodeReaderOnly }

    /// CSI, NodePublishVolume: what happens when a volume is published at a second target path.
    var allowsSeveralTargets: Bool {
        [.singleNodeMultiWriter, .multiNodeReaderOnly, .multiNodeSingleWriter, .multiNodeMultiWriter].contains(mode)
    }

    /// As it stands in a record: without the mount flags, which may be secrets.
    var text: String {
        let mode = modes(.anywhere)[mode] ?? "\(mode)"
        return switch access {
        case .mount(let filesystem, _): "mount \(filesystem) \(mode)"
        case .block: "block \(mode)"
        }
    }
}
