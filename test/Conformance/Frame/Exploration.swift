import CSIProto
import GRPCCore
import SwiftProtobuf
import Synchronization

// What the specification has no capability for: it is tried, and what is refused is not offered.

extension Driver {
    var extra: Set<Feature> { explored.withLock { $0 } }

    /// Fills `extra`; returns why what is missing there was refused.
    func explore() async -> [(Feature, String)] {
        var found: Set<Feature> = []
        if settings.log != nil { found.insert(.log) }
        if !settings.mutable.isEmpty { found.insert(.mutableParameter) }
        var problems: [(Feature, String)] = []
        for feature in [.block, .ephemeral, .mountedSnapshot] + settings.filesystems.map(Feature.filesystem) {
            do {
                try await attempt(feature)
                found.insert(feature)
            } catch {
                problems.append((feature, describe(error)))
            }
            for problem in await undo() { problems.append((feature, problem)) }
        }
        explored.withLock { [found] in $0 = found }
        return problems
    }

    private func attempt(_ feature: Feature) async throws {
        switch feature {
        case .block: _ = try await volume("try", .block())
        case .filesystem(let type): try await volume("try", .mount(type)).up()
        case .ephemeral: try await send(try ephemeral("try"))
        case .mountedSnapshot:
            try require(offers(.snapshots), "no snapshots at all")
            let source = try await volume("try")
            try await source.up()
            _ = try await source.snapshotIt()
        default: break
        }
    }

    /// A pod's own volume, as kubelet asks for it.
    func ephemeral(_ what: String) throws -> Csi_V1_NodePublishVolumeRequest {
        let id = "csi-\(name(what))"
        let directory = "\(settings.work)/\(id)"
        try Disk.makeDirectory(directory)
        return .with {
            $0.volumeID = id
            $0.targetPath = "\(directory)/volume"
            $0.volumeCapability = capability
            $0.volumeContext = [
                "csi.storage.k8s.io/ephemeral": "true", "csi.storage.k8s.io/pod.name": "pod",
                "csi.storage.k8s.io/pod.namespace": "default", "csi.storage.k8s.io/pod.uid": "1-2-3",
                "csi.storage.k8s.io/serviceAccount.name": "default", "size": "\(settings.size)",
            ].merging(settings.parameters) { $1 }
        }
    }
}
