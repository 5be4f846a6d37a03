import CSIProto
import FoundationEssentials
import GRPCCore
import SwiftProtobuf

/// A volume on a storage target, as a hand-written PersistentVolume describes it, and the calls that kubelet makes.
struct RemoteVolume: Sendable {
    let csi = CSI()
    let id: String
    var context: [String: String]
    var capability = Lab.mount

    var directory: String { "/run/lab/volumes/\(id.replacing(":", with: "-"))" }
    var stagePath: String { "\(directory)/stage" }
    var targetPath: String { "\(directory)/pod/mount" }

    func stage(publish: [String: String] = [:]) async throws {
        try Kernel.makeDirectories(stagePath)
        let request = Csi_V1_NodeStageVolumeRequest.with {
            ($0.volumeID, $0.stagingTargetPath, $0.volumeCapability) = (id, stagePath, capability)
            ($0.volumeContext, $0.publishContext) = (context, publish)
        }
        _ = try await csi.node { try await $0.nodeStageVolume(request, options: CSI.options) }
    }

    func publish(readOnly: Bool = false) async throws {
        try Kernel.makeDirectories("\(directory)/pod")
        let request = Csi_V1_NodePublishVolumeRequest.with {
            ($0.volumeID, $0.stagingTargetPath, $0.targetPath) = (id, stagePath, targetPath)
            ($0.volumeCapability, $0.volumeContext, $0.readonly) = (capability, context, readOnly)
        }
        _ = try await csi.node { try await $0.nodePublishVolume(request, options: CSI.options) }
    }

    func unpublish() async throws {
        _ = try await csi.node {
            try await $0.nodeUnpublishVolume(
                .with { ($0.volumeID, $0.targetPath) = (id, targetPath) }, options: CSI.options)
        }
    }

    func unstage() async throws {
        _ = try await csi.node {
            try await $0.nodeUnstageVolume(
                .with { ($0.volumeID, $0.stagingTargetPath) = (id, stagePath) }, options: CSI.options)
        }
    }

    func expand(to bytes: UInt64) async throws -> UInt64 {
        let request = Csi_V1_NodeExpandVolumeRequest.with {
            ($0.volumeID, $0.volumePath, $0.stagingTargetPath) = (id, targetPath, stagePath)
            $0.capacityRange.requiredBytes = Int64(bytes)
        }
        return UInt64(
            try await csi.node { try await $0.nodeExpandVolume(request, options: CSI.options) }.capacityBytes)
    }

    func used() async throws -> [Csi_V1_VolumeUsage] {
        try await csi.node {
            try await $0.nodeGetVolumeStats(
                .with { ($0.volumeID, $0.volumePath) = (id, targetPath) }, options: CSI.options)
        }.usage
    }

    func up() async throws {
        try await stage()
        try await publish()
    }

    func down() async throws {
        try await unpublish()
        try await unstage()
    }
}

extension Lab {
    static let mount = Lab.capability()

    private static func capability() -> Csi_V1_VolumeCapability {
        .with {
            $0.mount.fsType = "ext4"
            $0.accessMode.mode = .singleNodeWriter
        }
    }

    /// What is connected, recorded or mounted of volumes on targets; nothing must be when a step ends.
    func remoteLeftovers() throws -> [String] {
        let list = { (path: String) in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }
        let controllers = list("/sys/class/nvme").filter { $0.hasPrefix("nvme") }
        let sessions = list("/sys/class/iscsi_session")
        let records = list(driver.records).filter { $0.hasSuffix(".json") }
        let mounts = try Kernel.mounts().map(\.point).filter { $0.hasPrefix("/run/lab/volumes") }
        let nodes = list("/etc/iscsi/nodes") + list("/var/lib/iscsi/nodes")
        return (controllers + sessions + records + mounts + nodes).sorted()
    }

    func checkNothingRemote() throws {
        let left = try remoteLeftovers()
        try check(left.isEmpty, "left behind: \(left.joined(separator: ", "))")
    }

    /// The connections to a subsystem, by name, with their address and state.
    func controllers(of nqn: String) throws -> [(name: String, address: String, state: String, host: String)] {
        var found: [(name: String, address: String, state: String, host: String)] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: "/sys/class/nvme").sorted() {
            let path = "/sys/class/nvme/\(name)"
            let read = { (file: String) in (try? Kernel.read("\(path)/\(file)").filter { !$0.isNewline }) ?? "" }
            guard read("subsysnqn") == nqn else { continue }
            found.append((name, read("address"), read("state"), read("hostnqn")))
        }
        return found
    }
}
