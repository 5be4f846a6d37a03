import CSIProto
import DeviceManager
import GRPCCore
import SPDK
import StandIn
import SwiftProtobuf
import Testing

@testable import CSIServer

/// The controller against stand-ins of SPDK, over gRPC and HTTP.
struct PoolTests {
    @Test func `A volume has the id, the context and the capacity that spdk-csi gave it`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("pvc-1", size: 5 * mib, ["fsType": "ext4"])
            let lvol = try #require(world.targets[0].lvols.first)
            #expect(volume.volumeID == "node0:\(lvol.uuid)")
            #expect(lvol.name == "pvc-1" && lvol.isThin)
            #expect(volume.capacityBytes == 8 * mib)
            #expect(
                volume.volumeContext == [
                    "targetType": "TCP", "targetAddr": "10.0.0.1", "targetPort": "4420",
                    "nqn": "nqn.2020-04.io.spdk.csi:uuid:\(lvol.uuid)", "model": lvol.uuid, "lvolSize": "\(8 * mib)",
                    "lvstore": "lvs", "fsType": "ext4",
                ])
            #expect(volume.accessibleTopology.isEmpty)
            try await world.delete(volume.volumeID)
            try await world.delete(volume.volumeID)
            #expect(world.targets[0].lvols.isEmpty && world.targets[0].hosts(of: lvol.uuid) == nil)
        }
    }

    @Test func `iSCSI volumes have the context that spdk-csi gave them, and their own portal group`() async throws {
        try await withWorld([StandIn(stores: [store()])], type: "iscsi") { world in
            let volume = try await world.create("pvc-1")
            #expect(
                volume.volumeContext == [
                    "targetType": "iscsi", "targetAddr": "10.0.0.1", "targetPort": "3260",
                    "iqn": "iqn.2016-06.io.spdk:\(uuid(volume.volumeID))", "lvstore": "lvs",
                ])
            await expect(.resourceExhausted) { _ = try await world.create("pvc-2", ["access": "host"]) }
            try await world.delete(volume.volumeID)
            #expect(world.targets[0].lvols.isEmpty)
        }
    }

    @Test func `Secrets come with the call where no file is mounted`() async throws {
        try await withWorld([StandIn(stores: [store()])], mounted: false) { world in
            await expect(.failedPrecondition, "node0") { _ = try await world.create("pvc-1") }
            await expect(.invalidArgument, "secret.json") {
                _ = try await world.create("pvc-1", secrets: ["secret.json": "{"])
            }
            _ = try await world.create("pvc-1", secrets: ["secret.json": secrets(1)])
            await expect(.unauthenticated) {
                let wrong = secrets(1).replacing("spdkcsipass", with: "wrong")
                _ = try await world.create("pvc-1", secrets: ["secret.json": wrong])
            }
        }
    }

    @Test func `50 identical creations at once make one volume`() async throws {
        try await withWorld([StandIn(stores: [store()]), StandIn(stores: [store()])]) { world in
            let ids = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        while true {
                            do {
                                return try await world.create("pvc-1").volumeID
                            } catch let error as RPCError where error.code == .aborted {
                                try await Task.sleep(for: .milliseconds(20))
                            }
                        }
                    }
                }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(ids.count == 1)
            #expect(world.targets.map(\.lvols.count).reduce(0, +) == 1)
            #expect(world.targets.map { $0.calls("bdev_lvol_create") }.reduce(0, +) == 1)
        }
    }

    @Test func `A name with other wishes is refused`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            _ = try await world.create("pvc-1", size: 8 * mib)
            await expect(.alreadyExists, "capacity_range") { _ = try await world.create("pvc-1", size: 16 * mib) }
            await expect(.alreadyExists, "access") { _ = try await world.create("pvc-1", ["access": "host"]) }
            await expect(.alreadyExists, "provisioning") {
                _ = try await world.create("pvc-1", ["provisioning": "thick"])
            }
            await expect(.outOfRange) { _ = try await world.create("pvc-2", size: 5 * mib, limit: 6 * mib) }
            await expect(.invalidArgument, "clearMethod") { _ = try await world.create("pvc-2", ["clearMethod": "no"]) }
            #expect(world.targets[0].lvols.count == 1)
        }
    }

    @Test(arguments: ["x", "snapshot", String(repeating: "n", count: 128), "über/€~h", "~b"])
    func `Any CSI name becomes one name of at most 63 bytes`(name: String) async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            for parameters in [[:], ["access": "host"]] {
                let volume = try await world.create(name, parameters)
                #expect(try await world.create(name, parameters).volumeID == volume.volumeID)
                #expect(world.targets[0].lvols.allSatisfy { $0.name.utf8.count < 64 })
                let snapshot = try await world.snapshot(name, of: volume.volumeID)
                #expect(try await world.snapshot(name, of: volume.volumeID).snapshotID == snapshot.snapshotID)
                #expect(world.targets[0].lvols.count == 2)
                try await world.deleteSnapshot(snapshot.snapshotID)
                try await world.delete(volume.volumeID)
            }
        }
    }

    @Test(arguments: [StandIn.SizeKey.bytes, .both, .mebibytes])
    func `Sizes are given as this version of SPDK wants them`(key: StandIn.SizeKey) async throws {
        try await withWorld([StandIn(stores: [store()], sizeKey: key)]) { world in
            let volume = try await world.create("pvc-1", size: 8 * mib)
            let answer = try await world.controller.controllerExpandVolume(
                .with {
                    $0.volumeID = volume.volumeID
                    $0.capacityRange.requiredBytes = 13 * mib
                })
            #expect(answer.capacityBytes == 16 * mib)
            #expect(world.targets[0].lvols[0].size == 16 << 20)
        }
    }

    @Test func `A reply that is lost leaves one volume, whatever the next call does`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            for method in [
                "bdev_lvol_create", "nvmf_create_transport", "nvmf_create_subsystem", "nvmf_subsystem_add_ns",
                "nvmf_subsystem_add_listener",
            ] {
                for fault in [StandIn.Fault.lostReply, .lostRequest, .truncated] {
                    world.targets[0].fail(method, fault)
                    // A transport is made once only.
                    _ = try? await world.create("pvc-\(method)")
                    let volume = try await world.create("pvc-\(method)")
                    #expect(world.targets[0].lvols.count == 1, "\(method) \(fault)")
                    let id = try #require(world.pool.volumeID(volume.volumeID))
                    #expect(try await world.pool.find(id) != nil)
                    for method in ["nvmf_delete_subsystem", "bdev_lvol_delete"] { world.targets[0].fail(method, fault) }
                    for _ in 0..<3 { try? await world.delete(volume.volumeID) }
                    try await world.delete(volume.volumeID)
                    #expect(world.targets[0].lvols.isEmpty)
                }
            }
        }
    }

    @Test func `A full store gives way to the next, and nothing fits when none has room`() async throws {
        let targets = [
            StandIn(stores: [store("a", size: 64 * mib), store("b", size: 32 * mib)]),
            StandIn(stores: [store("c", size: 40 * mib)]),
        ]
        try await withWorld(targets) { world in
            for name in ["1", "2", "3"] { _ = try await world.create(name, size: 32 * mib, ["provisioning": "thick"]) }
            _ = try await world.create("4", size: 32 * mib, ["provisioning": "thick"])
            await expect(.resourceExhausted) { _ = try await world.create("5", size: 32 * mib) }
            let capacity = try await world.controller.getCapacity(.init())
            #expect(capacity.availableCapacity == 8 * mib && capacity.maximumVolumeSize.value == 8 * mib)
        }
    }

    @Test func `Thin volumes count with what they may still take, unless over-commitment is allowed`() async throws {
        try await withWorld([StandIn(stores: [store(size: 128 * mib)])]) { world in
            _ = try await world.create("1", size: 96 * mib)
            #expect(try await world.controller.getCapacity(.init()).availableCapacity == 32 * mib)
            await expect(.resourceExhausted) { _ = try await world.create("2", size: 96 * mib) }
        }
        try await withWorld([StandIn(stores: [store(size: 128 * mib)])], more: ",\"thinOvercommit\":2") { world in
            for name in ["1", "2"] { _ = try await world.create(name, size: 96 * mib) }
            #expect(try await world.controller.getCapacity(.init()).availableCapacity == 64 * mib)
            let thick = try await world.controller.getCapacity(.with { $0.parameters = ["provisioning": "thick"] })
            #expect(thick.availableCapacity == 64 * mib)
        }
    }

    @Test func `The parameters node and lvstore say where`() async throws {
        let targets = [StandIn(stores: [store("a"), store("b")]), StandIn(stores: [store("a")])]
        try await withWorld(targets) { world in
            let volume = try await world.create("1", ["node": "node0", "lvstore": "b"])
            #expect(volume.volumeID.hasPrefix("node0:") && volume.volumeContext["lvstore"] == "b")
            await expect(.resourceExhausted) { _ = try await world.create("2", ["lvstore": "none"]) }
        }
    }

    @Test func `A silent storage node delays only itself`() async throws {
        let targets = [StandIn(stores: [store()]), StandIn(stores: [store()])]
        try await withWorld(targets) { world in
            let there = try await world.create("1", ["node": "node1"])
            for method in ["bdev_lvol_get_lvols", "bdev_lvol_get_lvstores", "bdev_get_bdevs", "nvmf_get_subsystems"] {
                targets[1].fail(method, .silence, .silence, .silence, .silence, .silence)
            }
            for name in ["2", "3"] { #expect(try await world.create(name).volumeID.hasPrefix("node0:")) }
            // One that may be there already is not made a second time.
            await expect(.unavailable, "node1") { _ = try await world.create("1") }
            #expect(targets[0].lvols.count == 2 && there.volumeID.hasPrefix("node1:"))
        }
    }

    @Test func `Ids that no volume could have`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            for id in ["x", "node0:", "a:b:c", "node0:not-a-uuid", "../../etc"] {
                try await world.delete(id)
                await expect(.notFound) { _ = try await world.publish(id, to: "n") }
            }
            let missing = "node0:00000000-0000-4000-8000-000000000000"
            try await world.delete(missing)
            await expect(.notFound) { _ = try await world.publish(missing, to: "n") }
            await expect(.unavailable, "gone") { try await world.delete("gone:00000000-0000-4000-8000-000000000000") }
        }
    }

    @Test func `Limits are set at creation and changed later`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("1", ["rw_ios_per_sec": "2000", "r_mbytes_per_sec": "5"])
            #expect(world.targets[0].lvols[0].limits == ["rw_ios_per_sec": 2000, "r_mbytes_per_sec": 5])
            _ = try await world.controller.controllerModifyVolume(
                .with {
                    $0.volumeID = volume.volumeID
                    $0.mutableParameters = ["rw_ios_per_sec": "0", "w_mbytes_per_sec": "7"]
                })
            #expect(
                world.targets[0].lvols[0].limits == ["rw_ios_per_sec": 0, "r_mbytes_per_sec": 5, "w_mbytes_per_sec": 7])
            await expect(.invalidArgument, "rw_ios_per_sec") {
                _ = try await world.create("2", ["rw_ios_per_sec": "1500"])
            }
            await expect(.invalidArgument, "provisioning") {
                _ = try await world.controller.controllerModifyVolume(
                    .with {
                        $0.volumeID = volume.volumeID
                        $0.mutableParameters = ["provisioning": "thick"]
                    })
            }
        }
    }

    @Test func `A volume that was written by hand is found by its uuid alone`() async throws {
        let targets = [StandIn(stores: [store()]), StandIn(stores: [store()])]
        try await withWorld(targets) { world in
            let id = uuid(try await world.create("1", ["node": "node1"]).volumeID)
            let context = try await world.publish(id, to: "host")
            #expect(context["targetAddr"] == "10.0.0.2" && context["nqn"] == "nqn.2020-04.io.spdk.csi:uuid:\(id)")
            #expect(try await world.pool.lookup(id)?["targetAddr"] == "10.0.0.2")
            try await world.unpublish(id, from: "host")
        }
    }

    @Test func `Lists come in pages, and without the nodes that do not answer`() async throws {
        let targets = [StandIn(stores: [store()]), StandIn(stores: [store()])]
        try await withWorld(targets) { world in
            var ids: Set<String> = []
            for index in 0..<7 {
                ids.insert(try await world.create("v\(index)", ["node": "node\(index % 2)"]).volumeID)
            }
            var (found, token) = (Set<String>(), "")
            repeat {
                let page = try await world.controller.listVolumes(
                    .with {
                        $0.maxEntries = 3
                        $0.startingToken = token
                    })
                found.formUnion(page.entries.map(\.volume.volumeID))
                token = page.nextToken
            } while !token.isEmpty
            #expect(found == ids)
            targets[1].fail("bdev_lvol_get_lvstores", .lostRequest, .lostRequest, .lostRequest, .lostRequest)
            let rest = try await world.controller.listVolumes(.init()).entries.map(\.volume.volumeID)
            #expect(Set(rest) == ids.filter { $0.hasPrefix("node0:") })
        }
    }
}
