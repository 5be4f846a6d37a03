import CSIProto
import DeviceManager
import GRPCCore
import SPDK
import ServiceLifecycle
import StandIn
import SwiftProtobuf
import Synchronization
import Testing

@testable import CSIServer

/// Who may see a volume, and what a restarted target is told again.
struct AccessTests {
    private func nqn(_ node: String) -> String {
        HostIdentity(driverName: "csi.spdk.io", clusterName: "", nodeID: node).nqn
    }

    private func published(_ world: World) async throws -> [[String]] {
        try await world.controller.listVolumes(.init()).entries.map(\.status.publishedNodeIds)
    }

    @Test func `Only hosts that a volume was published to may see it`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("pvc-1", ["access": "host"])
            let (id, target) = (uuid(volume.volumeID), world.targets[0])
            #expect(volume.volumeContext["access"] == "host")
            #expect(target.hosts(of: id) == [])
            let context = try await world.publish(volume.volumeID, to: "a")
            #expect(context["access"] == "host" && context["targetAddr"] == "10.0.0.1")
            #expect(target.hosts(of: id) == [nqn("a")])
            #expect(try await published(world) == [["a"]])
            #expect(try await world.publish(volume.volumeID, to: "a") == context)
            await expect(.failedPrecondition, "node a") { _ = try await world.publish(volume.volumeID, to: "b") }
            await expect(.failedPrecondition, "published to a") { try await world.delete(volume.volumeID) }
            try await world.unpublish(volume.volumeID, from: "b")
            #expect(target.hosts(of: id) == [nqn("a")])
            for _ in 0..<2 { try await world.unpublish(volume.volumeID, from: "a") }
            #expect(target.hosts(of: id) == [])
            #expect(try await published(world) == [[]])
            try await world.delete(volume.volumeID)
        }
    }

    @Test func `Several nodes may share a raw block device`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let id = try await world.create("pvc-1", ["access": "host"]).volumeID
            for node in ["a", "b"] { _ = try await world.publish(id, to: node, mode: .multiNodeMultiWriter) }
            #expect(try await published(world) == [["a", "b"]])
            await expect(.invalidArgument) {
                _ = try await world.controller.controllerPublishVolume(
                    .with {
                        $0.volumeID = id
                        $0.nodeID = "c"
                        $0.volumeCapability.mount.fsType = "ext4"
                        $0.volumeCapability.accessMode.mode = .multiNodeMultiWriter
                    })
            }
        }
    }

    @Test func `Without access any host may see a volume`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("pvc-1")
            #expect(volume.volumeContext["access"] == nil)
            #expect(try await world.publish(volume.volumeID, to: "a")["access"] == "any")
            #expect(world.targets[0].hosts(of: uuid(volume.volumeID)) == [])
        }
    }

    @Test func `What a restarted target has forgotten is made again without a call, hosts and limits too`() async throws
    {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let target = world.targets[0]
            let guarded = uuid(try await world.create("pvc-1", ["access": "host", "rw_mbytes_per_sec": "9"]).volumeID)
            let open = uuid(try await world.create("other").volumeID)
            _ = try await world.publish("node0:\(guarded)", to: "a")
            let group = ServiceGroup(services: [SPDKWatch(pool: world.pool)], logger: quiet)
            async let watching: Void = group.run()
            try await eventually { target.calls("nvmf_get_subsystems") > 4 }
            try target.restart()
            try await eventually {
                target.hosts(of: guarded) == [nqn("a")] && target.hosts(of: open) == []
            }
            #expect(target.lvols.first { $0.uuid == guarded }?.limits["rw_mbytes_per_sec"] == 9)
            await group.triggerGracefulShutdown()
            try await watching
        }
    }

    @Test func `Without a mounted file an export is made again by the next call that brings secrets`() async throws {
        try await withWorld([StandIn(stores: [store()])], mounted: false) { world in
            let key = ["secret.json": secrets(1)]
            let volume = try await world.create("pvc-1", ["access": "host"], secrets: key)
            try world.targets[0].restart()
            _ = try await world.controller.controllerPublishVolume(
                .with {
                    $0.volumeID = volume.volumeID
                    $0.nodeID = "a"
                    $0.volumeCapability = World.capability()
                    $0.secrets = key
                })
            #expect(world.targets[0].hosts(of: uuid(volume.volumeID)) == [nqn("a")])
            try world.targets[0].restart()
            _ = try await world.controller.controllerExpandVolume(
                .with {
                    $0.volumeID = volume.volumeID
                    $0.capacityRange.requiredBytes = 8 * mib
                    $0.secrets = key
                })
            #expect(world.targets[0].hosts(of: uuid(volume.volumeID)) == [nqn("a")])
        }
    }

    @Test(arguments: ["nvme-tcp", "iscsi"])
    func `A volume that any host may see is listed as published, under the id too that it was published by`(
        type: String
    ) async throws {
        try await withWorld([StandIn(stores: [store()])], type: type) { world in
            let id = try await world.create("pvc-1").volumeID
            _ = try await world.publish(id, to: "a")
            #expect(try await published(world) == [["a"]])
            _ = try await world.publish(uuid(id), to: "b", mode: .multiNodeMultiWriter)
            let listed = try await world.controller.listVolumes(.init()).entries
            #expect(Set(listed.map(\.volume.volumeID)) == [id, uuid(id)] && listed.count == 2)
            #expect(listed.allSatisfy { $0.status.publishedNodeIds == ["a", "b"] })
            for node in ["a", "b"] { try await world.unpublish(id, from: node) }
            #expect(try await published(world) == [[]])
        }
    }

    @Test func `A host of another cluster's name is kept out with its node`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let id = try await world.create("pvc-1", ["access": "host"]).volumeID
            _ = try await world.publish(id, to: "a")
            let old = "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-000000000009"
            let wanted = try #require(world.pool.volumeID(id))
            try await world.pool.volume(orThrow: wanted).target.letIn(old, to: uuid(id))
            world.pool.memory.withLock { $0.hosts[old] = "a" }
            try await world.unpublish(id, from: "a")
            #expect(world.targets[0].hosts(of: uuid(id)) == [])
            let same = try world.pool.clusterName(and: "", at: "f")
            #expect(same.isEmpty)
            #expect(throws: ConfigurationError.self) { _ = try world.pool.clusterName(and: "other", at: "f") }
        }
    }

    @Test func `A controller that was restarted learns its nodes when they are published again`() async throws {
        let target = StandIn(stores: [store()])
        try await withWorld([target]) { world in
            let id = try await world.create("pvc-1", ["access": "host"]).volumeID
            _ = try await world.publish(id, to: "a")
        }
        try await withWorld([target]) { world in
            #expect(try await published(world) == [[]])
            _ = try await world.publish("node0:\(target.lvols[0].uuid)", to: "a")
            #expect(try await published(world) == [["a"]])
        }
    }
}
