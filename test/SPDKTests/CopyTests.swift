import CSIProto
import GRPCCore
import SPDK
import StandIn
import SwiftProtobuf
import Testing

@testable import CSIServer

/// Snapshots, restores and clones, which depend on each other inside SPDK and must not do so outside.
struct CopyTests {
    @Test func `A snapshot says of which volume it is and when it was taken, each time the same`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("pvc-1")
            let snapshot = try await world.snapshot("snapshot-1", of: volume.volumeID)
            #expect(snapshot.sourceVolumeID == volume.volumeID && snapshot.sizeBytes == 8 * mib && snapshot.readyToUse)
            #expect(snapshot.creationTime.seconds > 1_700_000_000)
            #expect(try await world.snapshot("snapshot-1", of: volume.volumeID) == snapshot)
            let listed = try await world.controller.listSnapshots(.with { $0.sourceVolumeID = volume.volumeID })
            #expect(listed.entries.map(\.snapshot) == [snapshot])
            let other = try await world.create("pvc-2")
            await expect(.alreadyExists) { _ = try await world.snapshot("snapshot-1", of: other.volumeID) }
            #expect(
                try await world.controller.listSnapshots(.with { $0.sourceVolumeID = other.volumeID }).entries.isEmpty)
            for _ in 0..<2 { try await world.deleteSnapshot(snapshot.snapshotID) }
            #expect(world.targets[0].lvols.count == 2)
        }
    }

    @Test func `A restore that is larger than its snapshot shares nothing with it`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("pvc-1")
            let snapshot = try await world.snapshot("s", of: volume.volumeID)
            try await world.delete(volume.volumeID)
            let restore = try await world.create("pvc-2", size: 16 * mib, from: .snapshot(snapshot.snapshotID))
            #expect(restore.capacityBytes == 16 * mib && restore.contentSource == .snapshot(snapshot.snapshotID))
            #expect(try await world.create("pvc-2", size: 16 * mib, from: .snapshot(snapshot.snapshotID)) == restore)
            try await world.deleteSnapshot(snapshot.snapshotID)
            #expect(world.targets[0].lvols.map(\.uuid) == [uuid(restore.volumeID)])
        }
    }

    @Test func `A snapshot cannot go before one of the volumes that share it`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("pvc-1")
            let snapshot = try await world.snapshot("s", of: volume.volumeID)
            let restore = try await world.create("pvc-2", from: .snapshot(snapshot.snapshotID))
            #expect(restore.contentSource == .snapshot(snapshot.snapshotID))
            await expect(.alreadyExists, "volume_content_source") {
                _ = try await world.create("pvc-2")
            }
            await expect(.outOfRange) {
                _ = try await world.create("pvc-3", size: 4 * mib, limit: 4 * mib, from: .snapshot(snapshot.snapshotID))
            }
            await expect(.failedPrecondition, "pvc-1") { try await world.deleteSnapshot(snapshot.snapshotID) }
            try await world.delete(volume.volumeID)
            try await world.deleteSnapshot(snapshot.snapshotID)
            await expect(.notFound) { _ = try await world.create("pvc-4", from: .snapshot(snapshot.snapshotID)) }
            #expect(try await world.controller.listSnapshots(.init()).entries.isEmpty)
            #expect(world.targets[0].lvols.map(\.uuid) == [uuid(restore.volumeID)])
            try await world.delete(restore.volumeID)
            #expect(world.targets[0].lvols.isEmpty)
        }
    }

    @Test func `A clone is independent of its volume, in whatever order they go`() async throws {
        for order in [[0, 1], [1, 0]] {
            try await withWorld([StandIn(stores: [store()])]) { world in
                let volume = try await world.create("pvc-1")
                let clone = try await world.create("pvc-2", size: 12 * mib, from: .volume(volume.volumeID))
                #expect(clone.capacityBytes == 12 * mib && clone.contentSource == .volume(volume.volumeID))
                #expect(try await world.create("pvc-2", size: 12 * mib, from: .volume(volume.volumeID)) == clone)
                #expect(try await world.controller.listSnapshots(.init()).entries.isEmpty)
                #expect(try await world.controller.listVolumes(.init()).entries.count == 2)
                for index in order { try await world.delete([volume, clone][index].volumeID) }
                #expect(world.targets[0].lvols.isEmpty)
            }
        }
    }

    @Test func `A copy that was cut off anywhere is finished by the next call`() async throws {
        for method in [
            "bdev_lvol_snapshot", "bdev_lvol_clone", "bdev_lvol_decouple_parent", "bdev_lvol_resize",
            "nvmf_create_subsystem",
        ] {
            for fault in [StandIn.Fault.lostReply, .lostRequest] {
                try await withWorld([StandIn(stores: [store()])]) { world in
                    let volume = try await world.create("pvc-1")
                    world.targets[0].fail(method, fault)
                    _ = try? await world.create("pvc-2", size: 16 * mib, from: .volume(volume.volumeID))
                    let clone = try await world.create("pvc-2", size: 16 * mib, from: .volume(volume.volumeID))
                    #expect(clone.capacityBytes == 16 * mib, "\(method) \(fault)")
                    for id in [volume, clone].map(\.volumeID) { try await world.delete(id) }
                    #expect(world.targets[0].lvols.isEmpty, "\(method) \(fault)")
                }
            }
        }
    }

    @Test func `Volumes and snapshots of spdk-csi are known`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let volume = try await world.create("pvc-1")
            // As spdk-csi takes it: under its own name.
            let wanted = try #require(world.pool.volumeID(volume.volumeID))
            let old = try #require(try await world.pool.find(wanted)).target
            let id = "node0:\(try await old.snapshot(uuid(volume.volumeID), named: "snapshot-old"))"
            let listed = try await world.controller.listSnapshots(.init()).entries.map(\.snapshot)
            #expect(listed.map(\.snapshotID) == [id] && listed[0].sourceVolumeID == volume.volumeID)
            #expect(try await world.snapshot("snapshot-old", of: volume.volumeID).snapshotID == id)
            try await world.deleteSnapshot(id)
            #expect(world.targets[0].lvols.count == 1)
        }
    }
}
