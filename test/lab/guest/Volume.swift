import CSIProto
import GRPCCore
import SwiftProtobuf

/// What a step wants a volume to be.
struct VolumeSpec: Sendable {
    var name: String
    var size: UInt64 = 64 * MiB
    /// Empty: not said, as for volumes that are files.
    var mode = "fsdax"
    var isThin = false
    var type = "ext4"
    /// What it is to be a copy of.
    var source: Csi_V1_VolumeContentSource?
    /// Off where a step is not about it: overwriting takes its time.
    var erase = false
    var flags: [String] = []
    var secrets: [String: String] = [:]
    /// More of them.
    var parameters: [String: String] = [:]

    var request: Csi_V1_CreateVolumeRequest {
        .with {
            $0.name = name
            $0.capacityRange.requiredBytes = Int64(size)
            $0.volumeCapabilities = [capability(type: type, flags: flags)]
            $0.parameters = ["eraseafter": erase ? "true" : "false"]
            // Thin volumes have no DAX, so that asking for it would be refused.
            if isThin {
                $0.parameters["provisioning"] = "thin"
            } else if !mode.isEmpty {
                $0.parameters["nsmode"] = mode
            }
            $0.parameters.merge(parameters) { $1 }
            if let source { $0.volumeContentSource = source }
            $0.secrets = secrets
        }
    }
}

/// A volume and the calls of its life, as the container orchestrator makes them.
///
/// The step that created it owns it. Directories are made as kubelet makes them: the staging path itself, and the
/// parent of the target path.
struct Volume: Sendable {
    let csi = CSI()
    let spec: VolumeSpec
    let id: String
    let context: [String: String]
    let bytes: UInt64

    init(_ spec: VolumeSpec, _ answer: Csi_V1_Volume) {
        self.spec = spec
        id = answer.volumeID
        context = answer.volumeContext
        bytes = UInt64(answer.capacityBytes)
    }

    static func create(_ spec: VolumeSpec) async throws -> Volume {
        Volume(spec, try await CSI().create(spec))
    }

    var directory: String { "/run/lab/volumes/\(id)" }
    var stagePath: String { "\(directory)/stage" }
    var targetPath: String { "\(directory)/pod/mount" }

    func controllerPublish(readOnly: Bool = false, node: String = Driver.node) async throws {
        let request = Csi_V1_ControllerPublishVolumeRequest.with {
            $0.volumeID = id
            $0.nodeID = node
            $0.volumeCapability = capability(type: spec.type, flags: spec.flags)
            $0.volumeContext = context
            $0.readonly = readOnly
            $0.secrets = spec.secrets
        }
        _ = try await csi.controller { try await $0.controllerPublishVolume(request, options: CSI.options) }
    }

    func stage(flags: [String]? = nil) async throws {
        try Kernel.makeDirectories(stagePath)
        let request = Csi_V1_NodeStageVolumeRequest.with {
            $0.volumeID = id
            $0.stagingTargetPath = stagePath
            $0.volumeCapability = capability(type: spec.type, flags: flags ?? spec.flags)
            $0.volumeContext = context
            $0.secrets = spec.secrets
        }
        _ = try await csi.node { try await $0.nodeStageVolume(request, options: CSI.options) }
    }

    func publish(
        at path: String? = nil, readOnly: Bool = false,
        mode: Csi_V1_VolumeCapability.AccessMode.Mode = .singleNodeWriter
    ) async throws {
        try Kernel.makeDirectories("\(directory)/pod")
        let request = Csi_V1_NodePublishVolumeRequest.with {
            $0.volumeID = id
            $0.stagingTargetPath = stagePath
            $0.targetPath = path ?? targetPath
            $0.volumeCapability = capability(mode, type: spec.type, flags: spec.flags)
            $0.volumeContext = context
            $0.readonly = readOnly
            $0.secrets = spec.secrets
        }
        _ = try await csi.node { try await $0.nodePublishVolume(request, options: CSI.options) }
    }

    func unpublish(at path: String? = nil) async throws {
        let request = Csi_V1_NodeUnpublishVolumeRequest.with {
            ($0.volumeID, $0.targetPath) = (id, path ?? targetPath)
        }
        _ = try await csi.node { try await $0.nodeUnpublishVolume(request, options: CSI.options) }
    }

    func unstage() async throws {
        let request = Csi_V1_NodeUnstageVolumeRequest.with {
            ($0.volumeID, $0.stagingTargetPath) = (id, stagePath)
        }
        _ = try await csi.node { try await $0.nodeUnstageVolume(request, options: CSI.options) }
    }

    func controllerUnpublish() async throws {
        let request = Csi_V1_ControllerUnpublishVolumeRequest.with {
            ($0.volumeID, $0.nodeID, $0.secrets) = (id, Driver.node, spec.secrets)
        }
        _ = try await csi.controller { try await $0.controllerUnpublishVolume(request, options: CSI.options) }
    }

    func delete() async throws {
        try await csi.delete(id, secrets: spec.secrets)
    }

    /// From nothing to a pod's mount.
    func up() async throws {
        try await controllerPublish()
        try await stage()
        try await publish()
    }

    /// And back, the volume itself stays.
    func down() async throws {
        try await unpublish()
        try await unstage()
        try await controllerUnpublish()
    }
}

/// A volume for the length of the body; afterwards nothing is left of it, whether the body succeeded or not.
func withVolume<R>(_ spec: VolumeSpec, _ body: (Volume) async throws -> R) async throws -> R {
    let volume = try await Volume.create(spec)
    return try await cleaningUp(volume) {
        let result = try await body(volume)
        try await volume.down()
        try await volume.delete()
        return result
    }
}

/// For a body that removes the volume itself: when it fails, what is left must not spread to the next step.
func cleaningUp<R>(_ volume: Volume, _ body: () async throws -> R) async throws -> R {
    do {
        return try await body()
    } catch {
        try? await volume.down()
        try? await volume.delete()
        throw error
    }
}
