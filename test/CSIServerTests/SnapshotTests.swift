import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("CreateSnapshot", .timeLimit(.minutes(5)))
struct CreateSnapshotTests {
    @Test("of a namespace, which is larger than its claim, no size is told: a claim of the same size may restore it")
    func namespace() async throws {
        try await withDirectory { directory in
            try await withDriver(InMemoryDeviceManager(location: "region0"), in: directory) { driver in
                let volume = try await driver.create("a", size: 8 * mib)
                #expect(try await driver.snapshot("s", of: volume.volumeID).sizeBytes == 0)
            }
        }
    }

    @Test("the answer says what was cut, and when")
    func answer() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a", size: 8 * mib)
            await manager.write("text", to: volumeA)
            let snapshot = try await driver.snapshot("a", of: volume.volumeID)
            #expect(snapshot.sourceVolumeID == volume.volumeID)
            #expect(snapshot.snapshotID != volume.volumeID)
            #expect(snapshot.sizeBytes == 8 * mib)
            #expect(snapshot.readyToUse)
            #expect(snapshot.creationTime.seconds > 1_700_000_000)
            let id = try #require(VolumeID(snapshot.snapshotID))
            #expect(await manager.content(id) == "text")
            #expect(try await driver.listedIDs() == [volume.volumeID])
        }
    }

    @Test("again it is the same snapshot, whatever the volume became")
    func again() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a").volumeID
            let first = try await driver.snapshot("s", of: volume)
            try await driver.expand(volume, to: 16 * mib)
            #expect(try await driver.snapshot("s", of: volume) == first)
            try await driver.delete(volume)
            #expect(try await driver.snapshot("s", of: volume) == first)
            #expect(await manager.passed[.copy] == 1)
            await expect(.notFound, volume) { try await driver.snapshot("t", of: volume) }
        }
    }

    @Test("the same name for another volume is ALREADY_EXISTS")
    func otherSource() async throws {
        try await withDriver { driver, _ in
            let first = try await driver.snapshot("s", of: try await driver.create("a").volumeID)
            let other = try await driver.create("b").volumeID
            await expect(.alreadyExists, first.snapshotID, "source_volume_id") {
                try await driver.snapshot("s", of: other)
            }
            #expect(try await driver.snapshotIDs() == [first.snapshotID])
        }
    }

    @Test("what is no volume has no snapshot")
    func unknown() async throws {
        try await withDriver { driver, _ in
            let snapshot = try await driver.snapshot("s", of: try await driver.create("a").volumeID).snapshotID
            for id in ["x", VolumeID(name: "never", node: "node-1").rawValue, snapshot] {
                await expect(.notFound, id) { try await driver.snapshot("t", of: id) }
            }
            await expect(.invalidArgument, "source_volume_id") { try await driver.snapshot("t", of: "") }
            await expect(.invalidArgument, "name") { try await driver.snapshot("", of: "x") }
            await expect(.invalidArgument, "U+1") { try await driver.snapshot("\u{1}", of: "x") }
        }
    }

    @Test(
        "it has no parameters but those of Kubernetes", arguments: [("csi.storage.k8s.io/x", true), ("colour", false)])
    func parameters(key: String, isGood: Bool) async throws {
        try await withDriver { driver, _ in
            let volume = try await driver.create("a").volumeID
            let request = Csi_V1_CreateSnapshotRequest.with {
                $0.name = "s"
                $0.sourceVolumeID = volume
                $0.parameters = [key: "x"]
            }
            if isGood {
                _ = try await driver.controller.createSnapshot(request)
            } else {
                await expect(.invalidArgument, key) { _ = try await driver.controller.createSnapshot(request) }
            }
        }
    }

    @Test("without room it is RESOURCE_EXHAUSTED, and leaves nothing")
    func full() async throws {
        try await withDriver(size: 12 << 20) { driver, manager in
            let volume = try await driver.create("a", size: 8 * mib).volumeID
            await expect(.resourceExhausted) { try await driver.snapshot("s", of: volume) }
            #expect(await manager.ids == [volumeA])
            #expect(driver.records.all.map(\.id) == [volume])
        }
    }

    @Test("what the driver cannot copy now is refused without a trace, and works later")
    func refused() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a").volumeID
            await manager.fail(at: .copying, DeviceError(.failedPrecondition, "copying takes too long"))
            await expect(.failedPrecondition, "too long") { try await driver.snapshot("s", of: volume) }
            #expect(driver.records.all.map(\.id) == [volume])
            #expect(await manager.ids == [volumeA])
            try await driver.snapshot("s", of: volume)
        }
    }

    @Test("while it is made, its volume cannot be changed or deleted, others can")
    func gate() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a").volumeID
            let pause = await manager.pause(at: .copying)
            async let call = driver.snapshot("s", of: volume)
            await pause.waitUntilReached()
            await expect(.aborted, volume) { try await driver.delete(volume) }
            await expect(.aborted, volume) { try await driver.expand(volume, to: 16 * mib) }
            await expect(.aborted, volume) { try await driver.create(.volume("b").from(volume: volume)) }
            await expect(.aborted) { try await driver.snapshot("s", of: volume) }
            #expect(try await driver.snapshotIDs() == [])
            try await driver.create("c")
            pause.release()
            let made = try await call.snapshotID
            #expect(try await driver.snapshotIDs() == [made])
        }
    }

    @Test("a copy is on the board while it runs, and a shutdown stops it")
    func shutdown() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a", size: 16 * mib).volumeID
            let pause = await manager.pause(at: .copying)
            async let call: Void = expect(.aborted) { try await driver.snapshot("s", of: volume) }
            await pause.waitUntilReached()
            let work = try #require(driver.pool.board.all.first)
            #expect(work.name == "s" && work.kind == .copy && work.total == 16 << 20)
            driver.shutdown.set()
            pause.release()
            await call
            #expect(driver.pool.board.all.isEmpty)
            // Taken back after the next start.
            #expect(driver.records.all.filter { $0.phase == .ready }.map(\.id) == [volume])
            #expect(try await driver.snapshotIDs() == [])
        }
    }
}

@Suite("DeleteSnapshot", .timeLimit(.minutes(5)))
struct DeleteSnapshotTests {
    @Test("the space comes back, and again is fine")
    func delete() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a").volumeID
            let before = try await driver.free()
            let id = try await driver.snapshot("s", of: volume).snapshotID
            #expect(try await driver.free() == before - 8 * mib)
            try await driver.deleteSnapshot(id)
            try await driver.deleteSnapshot(id)
            #expect(try await driver.free() == before)
            #expect(try await driver.snapshotIDs() == [])
            #expect(try await driver.listedIDs() == [volume])
            // It held the volume's data.
            #expect(await manager.erasures == [0])
        }
    }

    @Test("a volume is no snapshot, a snapshot no volume, whatever is asked of them")
    func kinds() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a").volumeID
            let snapshot = try await driver.snapshot("s", of: volume).snapshotID
            let before = await manager.ids
            try await driver.deleteSnapshot(volume)
            try await driver.delete(snapshot)
            #expect(await manager.ids == before)
            await expect(.notFound, volume) { _ = try await driver.getSnapshot(volume) }
            await expect(.notFound, snapshot) { _ = try await driver.volume(snapshot) }
            await expect(.notFound, snapshot) { try await driver.publish(snapshot) }
            await expect(.notFound, snapshot) { try await driver.expand(snapshot, to: 16 * mib) }
            await expect(.notFound, snapshot) { try await driver.modify(snapshot, ["eraseafter": "false"]) }
            await expect(.notFound, snapshot) { try await driver.stage(snapshot, at: "/x") }
            await expect(.notFound) { try await driver.create(.volume("b").from(volume: snapshot)) }
            await expect(.notFound) { try await driver.create(.volume("b").from(snapshot: volume)) }
            try await driver.unpublish(snapshot)
        }
    }

    @Test("neither depends on the other")
    func independent() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a").volumeID
            await manager.write("text", to: volumeA)
            let snapshot = try await driver.snapshot("s", of: volume).snapshotID
            try await driver.delete(volume)
            let restored = try await driver.create(.volume("b").from(snapshot: snapshot)).volumeID
            try await driver.deleteSnapshot(snapshot)
            #expect(await manager.ids == [VolumeID(name: "b", node: "node-1")])
            #expect(await manager.content(VolumeID(name: "b", node: "node-1")) == "text")
            #expect(try await driver.listedIDs() == [restored])
        }
    }

    @Test("what certainly does not exist is deleted already, what another node may have is not")
    func unknown() async throws {
        try await withDriver { driver, _ in
            for id in ["x", VolumeID(snapshot: "never", node: "node-1").rawValue] {
                try await driver.deleteSnapshot(id)
            }
            let elsewhere = VolumeID(snapshot: "s", node: "node-2").rawValue
            await expect(.unavailable, elsewhere) { try await driver.deleteSnapshot(elsewhere) }
            await expect(.invalidArgument, "snapshot_id") { try await driver.deleteSnapshot("") }
        }
    }
}

@Suite("ListSnapshots and GetSnapshot", .timeLimit(.minutes(5)))
struct ListSnapshotsTests {
    @Test("pages hold what was asked for and join up to all", arguments: [1, 2, 5, 6] as [Int32])
    func pages(limit: Int32) async throws {
        try await withDriver { driver, _ in
            let volume = try await driver.create("a", size: mib).volumeID
            var made: Set<String> = []
            for number in 0..<5 { made.insert(try await driver.snapshot("s\(number)", of: volume).snapshotID) }
            var (seen, token): ([String], String) = ([], "")
            repeat {
                let page = try await driver.snapshots {
                    $0.maxEntries = limit
                    $0.startingToken = token
                }
                #expect(page.entries.count <= limit)
                seen += page.entries.map(\.snapshot.snapshotID)
                token = page.nextToken
            } while !token.isEmpty
            #expect(Set(seen) == made)
            #expect(seen == seen.sorted())
        }
    }

    @Test("filters leave what they name, and an unknown id nothing")
    func filters() async throws {
        try await withDriver { driver, _ in
            let (a, b) = (try await driver.create("a").volumeID, try await driver.create("b").volumeID)
            let first = try await driver.snapshot("s", of: a)
            let second = try await driver.snapshot("t", of: b)
            #expect(try await driver.snapshotIDs { $0.snapshotID = first.snapshotID } == [first.snapshotID])
            #expect(try await driver.snapshotIDs { $0.sourceVolumeID = b } == [second.snapshotID])
            for id in ["x", a, VolumeID(snapshot: "u", node: "node-1").rawValue] {
                #expect(try await driver.snapshotIDs { $0.snapshotID = id } == [])
            }
            #expect(try await driver.snapshotIDs { $0.sourceVolumeID = "x" } == [])
            let none = try await driver.snapshotIDs {
                $0.snapshotID = first.snapshotID
                $0.sourceVolumeID = b
            }
            #expect(none == [])
            #expect(try await driver.getSnapshot(first.snapshotID) == first)
            await expect(.notFound, "x") { _ = try await driver.getSnapshot("x") }
            await expect(.invalidArgument, "snapshot_id") { _ = try await driver.getSnapshot("") }
        }
    }

    @Test("a token that is not ours is ABORTED, a negative number refused")
    func bad() async throws {
        try await withDriver { driver, _ in
            await expect(.aborted, "starting_token") { _ = try await driver.snapshots { $0.startingToken = "x" } }
            await expect(.invalidArgument, "max_entries") { _ = try await driver.snapshots { $0.maxEntries = -1 } }
        }
    }

    @Test("one that is being deleted is not ready to use")
    func deleting() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a").volumeID
            let snapshot = try await driver.snapshot("s", of: volume).snapshotID
            let pause = await manager.pause(at: .erasing)
            async let call: Void = driver.deleteSnapshot(snapshot)
            await pause.waitUntilReached()
            #expect(try await driver.snapshots().entries.map(\.snapshot.readyToUse) == [false])
            pause.release()
            try await call
        }
    }
}
