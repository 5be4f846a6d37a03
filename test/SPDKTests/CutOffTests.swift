import CSIProto
import GRPCCore
import SPDK
import StandIn
import Synchronization
import Testing

@testable import CSIServer

/// What is half made, half there, or asked for by many at once.
struct CutOffTests {
    @Test func `While a store is not attached, nothing that is in it is gone`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("pvc-1", ["access": "host"])
            let snapshot = try await world.snapshot("s", of: volume.volumeID)
            _ = try await world.publish(volume.volumeID, to: "a")
            world.targets[0].detachStores()
            for _ in 0..<2 {
                await expect(.unavailable, "node0") { try await world.delete(volume.volumeID) }
                await expect(.unavailable, "node0") { try await world.unpublish(volume.volumeID, from: "a") }
                await expect(.unavailable, "node0") { try await world.deleteSnapshot(snapshot.snapshotID) }
                await expect(.unavailable, "node0") { _ = try await world.create("pvc-1", ["access": "host"]) }
            }
            world.targets[0].attachStores()
            #expect(try await world.create("pvc-1", ["access": "host"]) == volume)
            try await world.unpublish(volume.volumeID, from: "a")
            try await world.deleteSnapshot(snapshot.snapshotID)
            try await world.delete(volume.volumeID)
            #expect(world.targets[0].lvols.isEmpty)
        }
    }

    @Test func `What SPDK has not opened yet is not gone`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let (target, host) = (world.targets[0], ["access": "host"])
            let volume = try await world.create("pvc-1", host)
            _ = try await world.publish(volume.volumeID, to: "a")
            try target.restartWithoutVolumes()
            #expect(try await world.create("pvc-1", host) == volume)
            try target.restartWithoutVolumes()
            try await world.unpublish(volume.volumeID, from: "a")
            #expect(target.hosts(of: uuid(volume.volumeID)) == [])
            try target.restartWithoutVolumes()
            try await world.delete(uuid(volume.volumeID))
            #expect(target.lvols.isEmpty && target.calls("bdev_lvol_create") == 1)
        }
    }

    @Test func `A node is asked for a name until that was answered for, whatever older lists say`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let pool = world.pool, begin = ContinuousClock.now
            world.targets[0].fail("nvmf_create_subsystem", .refusal)
            await expect(.unavailable) { _ = try await world.create("pvc-1") }
            #expect(pool.memory.withLock { $0.attempts["pvc-1"] } == "node0")
            _ = try await world.create("pvc-1")
            #expect(pool.memory.withLock { $0.attempts["pvc-1"] } == nil)
            let node = pool.state(try #require(pool.nodes.first))
            node.remember([], askedAt: begin)
            #expect(node.mayHave { VolumeName.isVolume($0, named: "pvc-1") })
        }
    }

    @Test func `A volume is one in the gate, whatever its id looks like`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let id = try await world.create("pvc-1").volumeID
            try await world.pool.gate.run(SPDKPool.key(id)) {
                for text in [id, uuid(id), uuid(id).uppercased()] {
                    await expect(.aborted) { try await world.delete(text) }
                }
            }
            try await world.delete(uuid(id).uppercased())
            #expect(world.targets[0].lvols.isEmpty)
        }
    }

    @Test func `One of several stores that is missing is missed`() async throws {
        try await withWorld([StandIn(stores: [store()])], more: ",\"lvstores\":[\"lvs\",\"other\"]") { world in
            await expect(.unavailable, "other") { try await world.delete("node0:\(Lvol.someUUID)") }
        }
    }

    @Test func `Thin volumes that are made at once do not take the same room`() async throws {
        try await withWorld([StandIn(stores: [store(size: 64 * mib)])]) { world in
            let codes = await withTaskGroup(of: RPCError.Code?.self) { group in
                for number in 0..<10 {
                    group.addTask {
                        do {
                            _ = try await world.create("pvc-\(number)", size: 16 * mib)
                            return nil
                        } catch { return (error as? RPCError)?.code }
                    }
                }
                return await group.reduce(into: [RPCError.Code?]()) { $0.append($1) }
            }
            #expect(codes.count { $0 == nil } == 4 && codes.count { $0 == .resourceExhausted } == 6, "\(codes)")
        }
    }

    @Test func `A copy needs room for all that it may write`() async throws {
        try await withWorld([StandIn(stores: [store(size: 64 * mib)])]) { world in
            let volume = try await world.create("pvc-1", size: 24 * mib)
            let snapshot = try await world.snapshot("s", of: volume.volumeID)
            _ = try await world.create("pvc-2", size: 24 * mib, from: .snapshot(snapshot.snapshotID))
            let count = world.targets[0].lvols.count
            await expect(.resourceExhausted, "pvc-3") {
                _ = try await world.create("pvc-3", size: 24 * mib, from: .snapshot(snapshot.snapshotID))
            }
            await expect(.resourceExhausted, "pvc-4") {
                _ = try await world.create("pvc-4", size: 24 * mib, from: .volume(volume.volumeID))
            }
            #expect(world.targets[0].lvols.count == count)
        }
    }

    @Test func `A copy that the watch exported before it was as large as it should be still grows`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let target = world.targets[0]
            let volume = try await world.create("pvc-1")
            let snapshot = try await world.snapshot("s", of: volume.volumeID)
            target.fail("bdev_lvol_resize", .refusal)
            let more = ["rw_mbytes_per_sec": "9"]
            await expect(.unavailable, "is not ready") {
                _ = try await world.create("pvc-2", size: 16 * mib, more, from: .snapshot(snapshot.snapshotID))
            }
            var seen = Seen()
            let node = try #require(world.pool.configuration.current?.node("node0"))
            try await world.pool.restore(node, &seen)
            let copy = try await world.create("pvc-2", size: 16 * mib, more, from: .snapshot(snapshot.snapshotID))
            #expect(copy.capacityBytes == 16 * mib)
            let limits = target.lvols.first { $0.uuid == uuid(copy.volumeID) }?.limits
            #expect(limits?["rw_mbytes_per_sec"] == 9)
            // What was answered for does not grow by itself.
            await expect(.alreadyExists, "capacity_range") {
                _ = try await world.create("pvc-2", size: 32 * mib, more, from: .snapshot(snapshot.snapshotID))
            }
        }
    }

    @Test func `An error behind the creation is not the end of it`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            world.targets[0].fail("nvmf_create_subsystem", .refusal)
            await expect(.unavailable, "is not ready") { _ = try await world.create("pvc-1") }
            _ = try await world.create("pvc-1")
            #expect(world.targets[0].lvols.count == 1)
        }
    }

    @Test func `A host that is put out while there is no export is not let in by another controller`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let target = world.targets[0]
            let volume = try await world.create("pvc-1", ["access": "host"])
            _ = try await world.publish(volume.volumeID, to: "a")
            try target.restart()
            try await world.unpublish(volume.volumeID, from: "a")
            #expect(target.hosts(of: uuid(volume.volumeID)) == [])
            _ = try await world.publish(volume.volumeID, to: "b")
            try await world.unpublish(volume.volumeID, from: "b")
            try await world.delete(volume.volumeID)
        }
    }
}

extension Lvol {
    fileprivate static let someUUID = "00000000-0000-4000-8000-000000000001"
}
