import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("Copies and changes cut off", .timeLimit(.minutes(5)))
struct CopyCrashTests {
    typealias Point = InMemoryDeviceManager.Point

    enum Copy: CaseIterable, Sendable {
        case snapshot, restore, clone

        /// The id of what is made, and of what is copied, of "a" or its snapshot "s".
        var ids: (new: VolumeID, source: VolumeID) {
            switch self {
            case .snapshot: (VolumeID(snapshot: "new", node: "node-1"), volumeA)
            case .restore: (VolumeID(name: "new", node: "node-1"), VolumeID(snapshot: "s", node: "node-1"))
            case .clone: (VolumeID(name: "new", node: "node-1"), volumeA)
            }
        }

        func make(_ driver: Driver) async throws {
            let source = ids.source.rawValue
            switch self {
            case .snapshot: try await driver.snapshot("new", of: source)
            case .restore: try await driver.create(.volume("new", size: 12 * mib).from(snapshot: source))
            case .clone: try await driver.create(.volume("new", size: 12 * mib).from(volume: source))
            }
        }
    }

    /// "a" with a text in it, and its snapshot "s".
    private func prepare(_ driver: Driver, _ manager: InMemoryDeviceManager) async throws {
        let volume = try await driver.create("a", size: 8 * mib).volumeID
        await manager.write("text", to: volumeA)
        try await driver.snapshot("s", of: volume)
    }

    @Test(
        "a copy that is killed at any step is taken back, its source is untouched, and it can be made again",
        arguments: [.copy, .allocated, .copying, .copied] as [Point], Copy.allCases)
    func copy(point: Point, copy: Copy) async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory) { driver in
                try await prepare(driver, manager)
                let (records, ids) = (driver.records.all, await manager.ids)
                let pause = await manager.pause(at: point)
                async let call: Void = copy.make(driver)
                await pause.waitUntilReached()
                try await afterCrash(of: directory, manager) { driver, left in
                    try await driver.removeCutOffCopies()
                    #expect(driver.records.all == records)
                    #expect(await left.ids == ids)
                    try await copy.make(driver)
                    #expect(await left.content(copy.ids.new) == "text")
                    #expect(await left.content(copy.ids.source) == "text")
                }
                pause.release()
                try await call
                #expect(await manager.content(copy.ids.new) == "text")
            }
        }
    }

    @Test("a copy that a shutdown stops is left alone then, and overwritten and removed after the next start")
    func shutdown() async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory) { driver in
                try await prepare(driver, manager)
                let ids = await manager.ids
                let pause = await manager.pause(at: .copying)
                let call = Task { try await Copy.snapshot.make(driver) }
                await pause.waitUntilReached()
                driver.shutdown.set()
                pause.release()
                await expect(.aborted, "stopping") { try await call.value }
                #expect(await manager.erasures.isEmpty)
                try await afterCrash(of: directory, manager) { driver, left in
                    // Ready before it is overwritten.
                    #expect(try await driver.identity.probe(.init()).ready.value)
                    #expect(await left.ids == ids.union([Copy.snapshot.ids.new]))
                    try await driver.removeCutOffCopies()
                    #expect(await left.ids == ids)
                    #expect(await left.erasures == [0])
                }
            }
        }
    }

    @Test("a copy that was made but never answered is answered by the repetition", arguments: Copy.allCases)
    func unanswered(copy: Copy) async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory) { driver in
                try await prepare(driver, manager)
                try await copy.make(driver)
                let records = driver.records.all
                try await afterCrash(of: directory, manager) { driver, left in
                    try await copy.make(driver)
                    #expect(driver.records.all == records)
                    #expect(await left.passed[.copy] == nil)
                }
            }
        }
    }

    @Test("a copy whose device could not be taken back keeps its record until it is", arguments: Copy.allCases)
    func notTakenBack(copy: Copy) async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory) { driver in
                try await prepare(driver, manager)
                let ids = await manager.ids
                await manager.fail(at: .copied, DeviceError(.failed, "lost the answer"))
                await expect(.internalError, "lost") { try await copy.make(driver) }
                #expect(driver.records.all.filter { $0.phase == .creating }.map(\.id) == [copy.ids.new.rawValue])
                #expect(try await driver.snapshotIDs().count == 1)
                try await afterCrash(of: directory, manager) { driver, left in
                    try await driver.removeCutOffCopies()
                    #expect(await left.ids == ids)
                }
                try await copy.make(driver)
                #expect(await manager.ids == ids.union([copy.ids.new]))
            }
        }
    }

    @Test(
        "the deletion of a snapshot that is killed goes on, and harms nothing else",
        arguments: [.delete, .erasing, .erased, .deleted] as [Point])
    func deletion(point: Point) async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory) { driver in
                try await prepare(driver, manager)
                let snapshot = Copy.restore.ids.source.rawValue
                let pause = await manager.pause(at: point)
                async let call: Void = driver.deleteSnapshot(snapshot)
                await pause.waitUntilReached()
                try await afterCrash(of: directory, manager) { driver, left in
                    await expect(.notFound) { try await driver.create(.volume("new").from(snapshot: snapshot)) }
                    await expect(.aborted) { try await driver.snapshot("s", of: volumeA.rawValue) }
                    let again = await left.pause(at: .delete)
                    let recovery = Task { try await driver.recovery().run() }
                    await again.waitUntilReached()
                    recovery.cancel()
                    again.release()
                    try await recovery.value
                    #expect(await left.ids == [volumeA])
                    #expect(driver.records.all.map(\.id) == [volumeA.rawValue])
                }
                pause.release()
                try await call
            }
        }
    }

    @Test(
        "an expansion that is killed at any step is finished at the next start, with a size that all agree on",
        arguments: [.expand, .grown, .expanded] as [Point])
    func expansion(point: Point) async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory) { driver in
                try await prepare(driver, manager)
                let pause = await manager.pause(at: point)
                async let call = driver.expand(volumeA.rawValue, to: 16 * mib)
                await pause.waitUntilReached()
                try await afterCrash(of: directory, manager) { driver, left in
                    let record = try #require(try driver.records.record(volumeA))
                    #expect(record.expandedFrom == nil)
                    #expect(record.size == (point == .expand ? 8 : 16) << 20)
                    #expect(await left.size(volumeA) == record.size)
                    #expect(await left.stale.isEmpty)
                    #expect(try await driver.expand(volumeA.rawValue, to: 16 * mib).capacityBytes == 16 * mib)
                    #expect(await left.content(volumeA) == "text")
                }
                pause.release()
                #expect(try await call.capacityBytes == 16 * mib)
            }
        }
    }

    @Test("an expansion that cannot be finished at the start is by its repetition, and keeps no other volume away")
    func expansionLater() async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(volumeA, size: 16 << 20)
        var record = crashRecord(.ready)
        record.expandedFrom = 8 << 20
        try await withDirectory { directory in
            try save(record, in: directory)
            await manager.fail(at: .expand, DeviceError(.unavailable, "lvm is locked"))
            try await withDriver(manager, in: directory) { driver in
                #expect(driver.records.all.first?.expandedFrom == 8 << 20)
                try await driver.create("b")
                #expect(try await driver.expand(volumeA.rawValue, to: 16 * mib).capacityBytes == 16 * mib)
                #expect(try driver.records.record(volumeA)?.expandedFrom == nil)
            }
        }
    }

    @Test(
        "a change of eraseafter that is killed once it is recorded reaches the backend at the next start",
        arguments: [.update, .updated] as [Point])
    func modification(point: Point) async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory) { driver in
                try await prepare(driver, manager)
                let pause = await manager.pause(at: point)
                async let call: Void = driver.modify(volumeA.rawValue, ["eraseafter": "false"])
                await pause.waitUntilReached()
                try await afterCrash(of: directory, manager) { driver, left async throws in
                    #expect(try driver.records.record(volumeA)?.parameters.eraseAfter == false)
                    #expect(await left.parameters(volumeA)?.eraseAfter == false)
                }
                pause.release()
                try await call
            }
        }
    }

    @Test(
        "an inline volume that is killed while it is made is taken back, one that is deleted goes",
        arguments: [.creating, .deleting] as [VolumeRecord.Phase])
    func ephemeral(phase: VolumeRecord.Phase) async throws {
        let id = VolumeID(ephemeral: "csi-1", node: "node-1")
        let spec = VolumeSpec(
            id: id, name: "csi-1", size: SizeRange(required: 8 << 20), parameters: .init(), kind: .ephemeral)
        var record = VolumeRecord(spec: spec, capabilities: [], location: "ndbus0region0fsdax", created: 0)
        record.phase = phase
        let manager = InMemoryDeviceManager()
        await manager.add(id, size: 8 << 20)
        try await withDirectory { directory in
            try save(record, in: directory)
            try await withDriver(manager, in: directory, isReady: false) { driver in
                let gone = await manager.pause(at: .deleted)
                let recovery = Task { try await driver.recovery().run() }
                await gone.waitUntilReached()
                gone.release()
                recovery.cancel()
                try await recovery.value
                #expect(await manager.ids.isEmpty)
                #expect(driver.records.all.isEmpty)
            }
        }
    }
}
