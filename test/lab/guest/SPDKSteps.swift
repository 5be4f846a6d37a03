import CSIProto
import FoundationEssentials
import GRPCCore
import Glibc
import SPDK
import SwiftProtobuf

/// Steps on one storage node.
struct SPDKSteps: Sendable {
    let node: StorageNode

    /// As a StorageClass of spdk-csi has it; `access` as those of this project have it.
    static let old = ["fsType": "ext4"]
    static let guarded = ["access": "host"]

    var start: Topic {
        Topic(
            title: "Start",
            steps: [
                Step("the storage node, and files as spdk-csi has them", essential: true) { lab in
                    if !node.isReal { try await NVMeTarget.start() }
                    _ = try await execute("modprobe", "nvme-tcp").succeeded()
                    try node.configure()
                    try await node.start(lab.programs)
                    let stores: [LogicalVolumeStore] = try await node.ask {
                        try await $0.read("bdev_lvol_get_lvstores")
                    }
                    let version: JSONNode = try await node.ask { try await $0.read("spdk_get_version") }
                    guard case .object(let facts) = version, case .string(let name) = facts["version"] else {
                        throw Failure("\(version)")
                    }
                    return "\(name), \(stores.map { "\($0.name) \(mebibytes($0.free))" }.joined(separator: ", "))"
                },
                Step("the driver starts: controller and node", essential: true) { lab in
                    "after \(try await lab.driver.start()) ms"
                },
            ])
    }

    var life: Topic {
        Topic(
            title: "Life",
            steps: [
                Step("a volume of spdk-csi's StorageClass, without an attach step") { lab in
                    try await withVolume("pvc-old", Self.old) { volume in
                        try checkEqual(volume.context["targetType"], "TCP", "targetType")
                        try await volume.up()
                        let hosts = Set(try lab.controllers(of: volume.context["nqn"] ?? "").map(\.state))
                        try checkEqual(hosts, ["live"], "connections")
                        try Kernel.write("kept", to: "\(volume.targetPath)/file")
                        try await volume.down()
                        try await volume.up()
                        try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "kept", "the file")
                        try await volume.down()
                        try lab.checkNothingRemote()
                        return volume.id
                    }
                },
                Step("50 identical creations at once: one lvol") { _ in try await fifty() },
                Step("it grows while it is mounted") { lab in
                    try await withVolume("pvc-grows", Self.guarded) { volume in
                        try await attached(volume) { volume in try await grow(volume) }
                    }
                },
                Step("a volume of which only the id is said: the address is looked up", quick: false) { lab in
                    try await withVolume("pvc-static", Self.old) { volume in
                        try await attached(RemoteVolume(id: volume.id, context: [:])) { volume in
                            let mount = try Kernel.mounts(at: volume.targetPath)
                            try check(mount.count == 1 && mount[0].source.hasPrefix("/dev/nvme"), "\(mount)")
                            return mount[0].source
                        }
                    }
                },
                Step("kill -9 at any moment of stage and unstage: nothing is left", quick: false) { lab in
                    try await withVolume("pvc-killed", Self.guarded) { volume in try await killed(lab, volume) }
                },
            ])
    }

    var access: Topic {
        Topic(
            title: "Access by host",
            steps: [
                Step("a node that was not let in cannot connect; one that was put out is disconnected") { lab in
                    try await withVolume("pvc-guarded", Self.guarded) { volume in
                        try await refused(.failedPrecondition, "NodeStage without attach") { try await volume.stage() }
                        // As if it knew the address, and nobody had let it in.
                        try await refused(.unavailable, "NodeStage of a stranger") {
                            try await volume.stage(publish: ["access": "host"])
                        }
                        try lab.checkNothingRemote()
                        return try await attached(volume) { _ in
                            try checkEqual(try await published(lab, volume), [Driver.node], "published nodes")
                            return "FAILED_PRECONDITION, UNAVAILABLE, and OK once it is let in"
                        }
                    }
                }
            ])
    }

    var losses: Topic {
        Topic(
            title: "Losses",
            steps: [
                Step("one of two paths is lost under a writer, then comes back") { lab in
                    try await withVolume("pvc-paths", Self.guarded) { volume in
                        try await attached(volume) { volume in
                            let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
                            try await live(lab, volume, 2)
                            try await loseListener(volume)
                            try await live(lab, volume, 1)
                            try await writer.moves()
                            try await live(lab, volume, 2)
                            let seen = try await writer.stop()
                            return "\(seen.count) numbers, none lost; one waited \(seen.longest) ms"
                        }
                    }
                },
                Step("the target is killed and started again under a writer: exports are back within 10 s") { lab in
                    try await withVolume("pvc-restart", Self.guarded) { volume in
                        try await attached(volume) { volume in
                            let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
                            try await node.restart(lab.programs)
                            let start = ContinuousClock.now
                            try await eventually("exported again", within: .seconds(10)) {
                                try await listeners(volume) == 2
                            }
                            let took = milliseconds(since: start)
                            try await live(lab, volume, 2)
                            try await writer.moves()
                            let seen = try await writer.stop()
                            try checkEqual(try await published(lab, volume), [Driver.node], "published nodes")
                            return
                                "exports after \(took) ms; \(seen.count) numbers, none lost; one waited \(seen.longest) ms"
                        }
                    }
                },
            ])
    }

    var copies: Topic {
        Topic(
            title: "Copies",
            steps: [
                Step("a snapshot, a larger restore and a larger clone: each has the content of its moment") { lab in
                    try await withVolume("pvc-source", Self.guarded) { source in
                        try await attached(source) { volume in
                            try Kernel.write("first", to: "\(volume.targetPath)/file")
                            return ""
                        }
                        let snapshot = try await lab.csi.createSnapshot("snapshot-1", of: source.id)
                        try await attached(source) { volume in
                            try Kernel.write("second", to: "\(volume.targetPath)/file")
                            return ""
                        }
                        let restore = try await read(
                            "pvc-restore", .with { $0.snapshot.snapshotID = snapshot.snapshotID })
                        let clone = try await read("pvc-clone", .with { $0.volume.volumeID = source.id })
                        try await lab.csi.deleteSnapshot(snapshot.snapshotID)
                        try checkEqual([restore.text, clone.text], ["first", "second"], "contents")
                        for size in [restore.size, clone.size] { try check(size > 110 * MiB, "\(size) bytes") }
                        try lab.checkNothingRemote()
                        return "\(mebibytes(restore.size)) and \(mebibytes(clone.size))"
                    }
                }
            ])
    }
}
