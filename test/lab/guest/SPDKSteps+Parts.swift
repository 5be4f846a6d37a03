import CSIProto
import FoundationEssentials
import GRPCCore
import Glibc
import SPDK
import SwiftProtobuf

// What the steps have in common.
extension SPDKSteps {
    private static let secrets = ["secret.json": StorageNode.secrets]

    func create(
        _ name: String, _ parameters: [String: String], size: UInt64 = 64 * MiB,
        from source: Csi_V1_VolumeContentSource? = nil
    ) async throws -> RemoteVolume {
        let answer = try await CSI().create(
            Csi_V1_CreateVolumeRequest.with {
                ($0.name, $0.parameters, $0.secrets) = (name, parameters, Self.secrets)
                $0.capacityRange.requiredBytes = Int64(size)
                $0.volumeCapabilities = [Lab.mount]
                if let source { $0.volumeContentSource = source }
            })
        return RemoteVolume(id: answer.volumeID, context: answer.volumeContext)
    }

    func withVolume<R>(
        _ name: String, _ parameters: [String: String], size: UInt64 = 64 * MiB,
        from source: Csi_V1_VolumeContentSource? = nil, _ body: (RemoteVolume) async throws -> R
    ) async throws -> R {
        let volume = try await create(name, parameters, size: size, from: source)
        let result: Result<R, any Error>
        do { result = .success(try await body(volume)) } catch { result = .failure(error) }
        if case .failure = result {
            try? await volume.down()
            try? await detach(volume)
        }
        try await patiently { try await CSI().delete(volume.id, secrets: Self.secrets) }
        try check(try await !CSI().ids().contains(volume.id), "\(volume.id) is listed after its deletion")
        return try result.get()
    }

    func attach(_ volume: RemoteVolume) async throws -> [String: String] {
        let request = Csi_V1_ControllerPublishVolumeRequest.with {
            ($0.volumeID, $0.nodeID, $0.volumeContext) = (volume.id, Driver.node, volume.context)
            $0.volumeCapability = volume.capability
        }
        return try await CSI().controller {
            try await $0.controllerPublishVolume(request, options: CSI.options)
        }.publishContext
    }

    func detach(_ volume: RemoteVolume) async throws {
        _ = try await CSI().controller {
            try await $0.controllerUnpublishVolume(
                .with { ($0.volumeID, $0.nodeID) = (volume.id, Driver.node) }, options: CSI.options)
        }
    }

    /// From attached to mounted for the length of the body.
    @discardableResult
    func attached(_ volume: RemoteVolume, _ body: (RemoteVolume) async throws -> String) async throws -> String {
        try await volume.stage(publish: try await attach(volume))
        try await volume.publish()
        let text = try await body(volume)
        try await volume.down()
        try await detach(volume)
        return text
    }

    /// From 64 MiB to 128, in use.
    func grow(_ volume: RemoteVolume) async throws -> String {
        let before = try Kernel.size(ofFileSystemAt: volume.targetPath)
        let answer = try await volume.csi.expand(volume.id, to: 128 * MiB)
        try checkEqual(answer.capacityBytes, Int64(128 * MiB), "capacity_bytes")
        try checkEqual(try await volume.expand(to: 128 * MiB), 128 * MiB, "NodeExpandVolume")
        let after = try Kernel.size(ofFileSystemAt: volume.targetPath)
        try check(after > before + 50 * MiB, "the file system has \(after) bytes")
        return "\(mebibytes(before)) to \(mebibytes(after))"
    }

    func published(_ lab: Lab, _ volume: RemoteVolume) async throws -> [String] {
        try await lab.csi.list().entries.first { $0.volume.volumeID == volume.id }?.status.publishedNodeIds ?? []
    }

    func live(_ lab: Lab, _ volume: RemoteVolume, _ count: Int) async throws {
        try await eventually("\(count) live connections", within: .seconds(60)) {
            try lab.controllers(of: volume.context["nqn"] ?? "").filter { $0.state == "live" }.count == count
        }
    }

    func listeners(_ volume: RemoteVolume) async throws -> Int {
        let found: [Subsystem]? = try? await node.ask {
            try await $0.read("nvmf_get_subsystems", ["nqn": .string(volume.context["nqn"] ?? "")])
        }
        return found?.first?.listeners.count ?? 0
    }

    /// The target forgets one of its addresses; the driver tells it again before long.
    func loseListener(_ volume: RemoteVolume) async throws {
        guard node.isReal else { return try await cut() }
        let _: JSONNode = try await node.ask {
            try await $0.change(
                "nvmf_subsystem_remove_listener",
                [
                    "nqn": .string(volume.context["nqn"] ?? ""),
                    "listen_address": [
                        "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": "4421",
                    ],
                ])
        }
    }

    /// The cable of one address is pulled, and plugged in after a while.
    private func cut() async throws {
        try await NVMeTarget.cut(1)
        Task {
            try await Task.sleep(for: .seconds(15))
            try await NVMeTarget.connect(1)
        }
    }

    func fifty() async throws -> String {
        let answers = try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    do {
                        return try await create("pvc-fifty", Self.guarded).id
                    } catch let error as RPCError where error.code == .aborted {
                        return nil
                    }
                }
            }
            return try await group.reduce(into: [String]()) { if let id = $1 { $0.append(id) } }
        }
        let again = try await patiently { try await create("pvc-fifty", Self.guarded).id }
        let ids = Set(answers + [again])
        try checkEqual(ids.count, 1, "ids")
        let lvols: [ListedLogicalVolume] = try await node.ask { try await $0.read("bdev_lvol_get_lvols") }
        try checkEqual(lvols.filter { $0.name.hasPrefix("pvc-fifty") }.count, 1, "lvols")
        for id in ids { try await CSI().delete(id, secrets: Self.secrets) }
        return "one id in \(answers.count) answers, one lvol; the rest ABORTED"
    }

    /// The text of the source's file and the size of the file system, in a copy of 128 MiB.
    func read(_ name: String, _ source: Csi_V1_VolumeContentSource) async throws -> (text: String, size: UInt64) {
        try await withVolume(name, Self.guarded, size: 128 * MiB, from: source) { volume in
            var found = (text: "", size: UInt64(0))
            try await attached(volume) { volume in
                found = (
                    try Kernel.read("\(volume.targetPath)/file"), try Kernel.size(ofFileSystemAt: volume.targetPath)
                )
                return ""
            }
            return found
        }
    }

    /// At moments that are spread over both calls.
    func killed(_ lab: Lab, _ volume: RemoteVolume) async throws -> String {
        let context = try await attach(volume)
        var cuts = 0
        for delay in [0, 5, 20, 60, 150, 400, 800] {
            for isStaging in [true, false] {
                if !isStaging { try await volume.stage(publish: context) }
                let call = Task {
                    if isStaging { try await volume.stage(publish: context) } else { try await volume.unstage() }
                }
                try await Task.sleep(for: .milliseconds(delay))
                try await lab.driver.crash()
                if case .failure = await call.result { cuts += 1 }
                try await lab.driver.start()
                try await volume.unstage()
                try lab.checkNothingRemote()
            }
        }
        try await detach(volume)
        return "\(cuts) of 14 calls were cut off"
    }
}
