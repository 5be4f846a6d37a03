import CSIProto
import GRPCCore
import SwiftProtobuf

typealias Capability = Csi_V1_VolumeCapability

extension Capability {
    static func mount(
        _ type: String = "ext4", _ mode: AccessMode.Mode = .singleNodeWriter, flags: [String] = []
    ) -> Self {
        .with {
            $0.mount.fsType = type
            $0.mount.mountFlags = flags
            $0.accessMode.mode = mode
        }
    }

    static func block(_ mode: AccessMode.Mode = .singleNodeWriter) -> Self {
        .with {
            $0.block = .init()
            $0.accessMode.mode = mode
        }
    }

    var isBlock: Bool { if case .block = accessType { true } else { false } }
}

/// A volume that was made, and the requests of its life as Kubernetes sends them.
///
/// Directories are made as the container orchestrator makes them: the staging path, and the parent of the target path.
struct Volume: Sendable {
    let driver: Driver
    let request: Csi_V1_CreateVolumeRequest
    let answer: Csi_V1_Volume

    var id: String { answer.volumeID }
    var size: Int64 { answer.capacityBytes }
    var capability: Capability { request.volumeCapabilities.first ?? .mount() }

    /// Below the work directory, by a name without anything strange: the id is the driver's.
    var directory: String { "\(driver.settings.work)/\(Disk.fileName(id))" }
    var staging: String { "\(directory)/staging" }
    var target: String { "\(directory)/pod/volume" }

    var deletion: Csi_V1_DeleteVolumeRequest { .with { $0.volumeID = id } }

    var attachment: Csi_V1_ControllerPublishVolumeRequest {
        .with {
            $0.volumeID = id
            $0.nodeID = driver.facts.node.nodeID
            $0.volumeCapability = capability
            $0.volumeContext = answer.volumeContext
        }
    }

    var detachment: Csi_V1_ControllerUnpublishVolumeRequest {
        .with { ($0.volumeID, $0.nodeID) = (id, driver.facts.node.nodeID) }
    }

    var stage: Csi_V1_NodeStageVolumeRequest {
        .with {
            $0.volumeID = id
            $0.stagingTargetPath = staging
            $0.volumeCapability = capability
            $0.volumeContext = answer.volumeContext
        }
    }

    var unstage: Csi_V1_NodeUnstageVolumeRequest {
        .with { ($0.volumeID, $0.stagingTargetPath) = (id, staging) }
    }

    var publish: Csi_V1_NodePublishVolumeRequest {
        .with {
            $0.volumeID = id
            $0.stagingTargetPath = driver.offers(.stage) ? staging : ""
            $0.targetPath = target
            $0.volumeCapability = capability
            $0.volumeContext = answer.volumeContext
        }
    }

    var unpublish: Csi_V1_NodeUnpublishVolumeRequest { .with { ($0.volumeID, $0.targetPath) = (id, target) } }

    var stats: Csi_V1_NodeGetVolumeStatsRequest { .with { ($0.volumeID, $0.volumePath) = (id, target) } }

    var validation: Csi_V1_ValidateVolumeCapabilitiesRequest {
        .with {
            $0.volumeID = id
            $0.volumeCapabilities = [capability]
            $0.volumeContext = answer.volumeContext
        }
    }

    func expansion(to size: Int64) -> Csi_V1_ControllerExpandVolumeRequest {
        .with {
            $0.volumeID = id
            $0.capacityRange.requiredBytes = size
            $0.volumeCapability = capability
        }
    }

    func nodeExpansion(to size: Int64) -> Csi_V1_NodeExpandVolumeRequest {
        .with {
            $0.volumeID = id
            $0.volumePath = target
            $0.stagingTargetPath = driver.offers(.stage) ? staging : ""
            $0.capacityRange.requiredBytes = size
            $0.volumeCapability = capability
        }
    }

    func snapshot(_ name: String) -> Csi_V1_CreateSnapshotRequest {
        .with { ($0.sourceVolumeID, $0.name) = (id, name) }
    }
}

extension Volume {
    func makeDirectories() throws {
        try Disk.makeDirectory(staging)
        try Disk.makeDirectory("\(directory)/pod")
    }

    func attachIt(readOnly: Bool = false) async throws {
        guard driver.offers(.attach) else { return }
        try await driver.send(attachment.changing { $0.readonly = readOnly })
    }

    func stageIt() async throws {
        try makeDirectories()
        if driver.offers(.stage) { try await driver.send(stage) }
    }

    /// From nothing to a pod's view of it.
    func up(readOnly: Bool = false) async throws {
        try await attachIt()
        try await stageIt()
        try await driver.send(publish.changing { $0.readonly = readOnly })
    }

    /// And back: the volume itself stays.
    func down() async throws {
        try await driver.send(unpublish)
        if driver.offers(.stage) { try await driver.send(unstage) }
        if driver.offers(.attach) { try await driver.send(detachment) }
    }

    /// What the pod sees when it is a device or holds a file.
    var payload: String { capability.isBlock ? target : "\(target)/payload" }

    func snapshotIt(_ name: String? = nil) async throws -> Csi_V1_Snapshot {
        try await driver.send(snapshot(name ?? driver.name("snapshot"))).snapshot
    }
}

extension Driver {
    func offers(_ feature: Feature) -> Bool { facts.offered.contains(feature) || extra.contains(feature) }

    /// The file systems of the run that can be had, and grown where that is wanted.
    func filesystems(growing: Bool = false) throws -> [String] {
        let types = settings.filesystems.filter { offers(.filesystem($0)) && (!growing || Disk.canGrow($0)) }
        try require(!types.isEmpty, "none of \(settings.filesystems) is there\(growing ? " and can grow here" : "")")
        return types
    }

    /// The usual file system of the run.
    var capability: Capability { .mount(settings.filesystems.first ?? "ext4") }

    /// Large enough for every file system: mkfs.xfs refuses less than 300 MiB.
    func size(for capability: Capability) -> Int64 {
        capability.mount.fsType == "xfs" ? max(settings.size, 320 * MiB) : settings.size
    }

    func creation(_ what: String = "volume", _ capability: Capability? = nil, size: Int64? = nil)
        -> Csi_V1_CreateVolumeRequest
    {
        let capability = capability ?? self.capability
        return .with {
            $0.name = name(what)
            $0.volumeCapabilities = [capability]
            $0.capacityRange.requiredBytes = size ?? self.size(for: capability)
            $0.parameters = settings.parameters
        }
    }

    func create(_ request: Csi_V1_CreateVolumeRequest) async throws -> Volume {
        Volume(driver: self, request: request, answer: try await send(request).volume)
    }

    func volume(_ what: String = "volume", _ capability: Capability? = nil, size: Int64? = nil) async throws -> Volume {
        try await create(creation(what, capability, size: size))
    }

    /// A volume made of a snapshot or of a volume.
    func copy(of source: Source, _ capability: Capability? = nil, size: Int64? = nil) async throws -> Volume {
        try await create(creation("copy", capability, size: size).changing { $0.volumeContentSource = source.message })
    }
}

/// What a volume can be made of.
enum Source: Sendable {
    case snapshot(String)
    case volume(String)

    var message: Csi_V1_VolumeContentSource {
        .with {
            switch self {
            case .snapshot(let id): $0.snapshot.snapshotID = id
            case .volume(let id): $0.volume.volumeID = id
            }
        }
    }
}
