import AsyncHTTPClient
import CSIProto
import GRPCCore
import SPDK
import StandIn
import SwiftProtobuf
import Testing

@testable import CSIServer

/// Room that is promised to what is not written yet, and nodes that do not tell how much they have.
struct RoomTests {
    @Test func `A copy that is to grow keeps the room for it`() async throws {
        try await withWorld([StandIn(stores: [store(size: 64 * mib)])]) { world in
            let snapshot = try await world.snapshot("s", of: try await world.create("pvc-1").volumeID).snapshotID
            world.targets[0].fail("bdev_lvol_resize", .lostRequest)
            await expect(.unavailable) {
                _ = try await world.create("pvc-2", size: 40 * mib, from: .snapshot(snapshot))
            }
            await expect(.resourceExhausted) { _ = try await world.create("pvc-3", size: 24 * mib) }
            _ = try await world.create("pvc-3", size: 16 * mib)
            let copy = try await world.create("pvc-2", size: 40 * mib, from: .snapshot(snapshot))
            #expect(copy.capacityBytes == 40 * mib)
            #expect(try await world.controller.getCapacity(.init()).availableCapacity == 0)
        }
    }

    @Test func `A clone needs room for what its source may write anew`() async throws {
        try await withWorld([StandIn(stores: [store(size: 64 * mib)])]) { world in
            let large = try await world.create("pvc-1", size: 24 * mib).volumeID
            await expect(.resourceExhausted, "pvc-2") {
                _ = try await world.create("pvc-2", size: 24 * mib, from: .volume(large))
            }
            #expect(world.targets[0].lvols.count == 1)
            try await world.delete(large)
            let small = try await world.create("pvc-1", size: 16 * mib).volumeID
            _ = try await world.create("pvc-2", size: 16 * mib, from: .volume(small))
            #expect(try await world.controller.getCapacity(.init()).availableCapacity == 32 * mib)
        }
    }

    @Test func `A store that cannot be looked at when a volume is to be made gives way to the next`() async throws {
        let targets = [StandIn(stores: [store()]), StandIn(stores: [store(size: 64 * mib)])]
        try await withWorld(targets) { world in
            targets[0].fail(
                "bdev_lvol_get_lvstores", .success, .success, .lostRequest, .lostRequest, .lostRequest)
            let id = try await world.create("pvc-1").volumeID
            #expect(id.hasPrefix("node1:"))
        }
    }

    @Test func `A copy is thick where that is asked for, also when it was cut off`() async throws {
        for fault in [StandIn.Fault.lostReply, .lostRequest] {
            try await withWorld([StandIn(stores: [store()])]) { world in
                let (target, thick) = (world.targets[0], ["provisioning": "thick"])
                let volume = try await world.create("pvc-1")
                target.fail("bdev_lvol_inflate", fault)
                _ = try? await world.create("pvc-2", size: 16 * mib, thick, from: .volume(volume.volumeID))
                let copy = try await world.create("pvc-2", size: 16 * mib, thick, from: .volume(volume.volumeID))
                #expect(copy.capacityBytes == 16 * mib)
                let lvol = try #require(target.lvols.first { $0.uuid == uuid(copy.volumeID) })
                #expect(!lvol.isThin && lvol.base == nil)
                for id in [volume, copy].map(\.volumeID) { try await world.delete(id) }
                #expect(target.calls("bdev_lvol_decouple_parent") == 0)
            }
        }
    }

    @Test func `Nodes that export by iSCSI have no room for volumes with access host`() async throws {
        try await withWorld([StandIn(stores: [store()])], type: "iscsi") { world in
            #expect(try await world.controller.getCapacity(.init()).availableCapacity == 1024 * mib)
            let answer = try await world.controller.getCapacity(.with { $0.parameters = ["access": "host"] })
            #expect(answer.availableCapacity == 0)
        }
    }

    @Test func `A node that is erasing is busy until it answers somebody`() async throws {
        let http = HTTPClient.forSPDK()
        let node = StorageNode(.http("http://127.0.0.1:1"), http: http)
        try await node.working("busy with erasing") {
            try await eventually { node.recentFailure?.message == "busy with erasing" }
            node.note(nil, since: .now)
            #expect(node.recentFailure == nil)
        }
        try await http.shutdown()
    }
}
