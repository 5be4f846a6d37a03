import CSIProto
import DeviceManager
import FoundationEssentials
import GRPCCore
import Logging
import SwiftProtobuf
import Glibc
import TestSupport
import Testing

@testable import CSIServer

private let id = VolumeID(name: "a", node: "node-1")

/// A record as a crash leaves it.
private func record(_ phase: VolumeRecord.Phase, of name: String = "a", size: UInt64 = 8 << 20) -> VolumeRecord {
    let spec = VolumeSpec(
        id: VolumeID(name: name, node: "node-1"), name: name, size: SizeRange(required: size), parameters: .init())
    var record = VolumeRecord(spec: spec, capabilities: ["mount ext4 SINGLE_NODE_WRITER"])
    record.phase = phase
    if phase != .creating { record.location = "ndbus0region0fsdax" }
    return record
}

private func save(_ record: VolumeRecord, in directory: String) throws {
    try VolumeRecords(directory: "\(directory)/state", logger: quiet).save(record)
}

@Suite("Creation cut off", .timeLimit(.minutes(1)))
struct CreationCrashTests {
    @Test("is taken back at the next start, with or without its device", arguments: [true, false])
    func takenBack(hasDevice: Bool) async throws {
        let manager = InMemoryDeviceManager()
        if hasDevice { await manager.add(id) }
        try await withDirectory { directory in
            try save(record(.creating), in: directory)
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(driver.records.all.isEmpty)
                #expect(await manager.ids.isEmpty)
                #expect(await manager.erasures.isEmpty)
                #expect(try await driver.create("a").volumeID == id.rawValue)
            }
        }
    }

    @Test("one that cannot be taken back yet does not keep the other volumes from being used")
    func notTakenBack() async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(id)
        let other = VolumeID(name: "b", node: "node-1")
        await manager.add(other, size: 8 << 20)
        try await withDirectory { directory in
            try save(record(.creating), in: directory)
            try save(record(.ready, of: "b"), in: directory)
            await manager.fail(at: .delete, DeviceError(.inUse, "open in some process"))
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(try await driver.listedIDs() == [other.rawValue])
                #expect(try await driver.create("a").volumeID == id.rawValue)
            }
        }
    }

    @Test("a manager that fails before the device exists leaves no record")
    func failsBefore() async throws {
        try await withDriver { driver, manager in
            await manager.fail(at: .create, DeviceError(.unavailable, "lvm is locked"))
            await expect(.unavailable, "locked") { try await driver.create("a") }
            #expect(driver.records.all.isEmpty)
        }
    }

    @Test("a device that could not be taken back keeps its record, and the repetition begins anew")
    func failsAfter() async throws {
        try await withDriver { driver, manager in
            let before = try await driver.free()
            await manager.fail(at: .created, DeviceError(.failed, "no space for udev"))
            await expect(.internalError) { try await driver.create("a") }
            #expect(driver.records.all.map(\.phase) == [.creating])
            #expect(try await driver.listedIDs() == [])
            let volume = try await driver.create("a", size: 12 * mib)
            #expect(volume.capacityBytes == 12 * mib)
            #expect(try await driver.free() == before - 12 * mib)
        }
    }

    @Test("a record that cannot be written means no device", arguments: [true, false])
    func stateDirectoryGone(afterDevice: Bool) async throws {
        try await withDirectory { directory in
            let manager = InMemoryDeviceManager()
            try await withDriver(manager, in: directory) { driver async throws in
                let (state, away) = ("\(directory)/state", "\(directory)/away")
                let pause = await manager.pause(at: .created)
                if !afterDevice {
                    pause.release()
                    #expect(rename(state, away) == 0)
                }
                async let call: Void = expect(.internalError, "-statePath", id.rawValue) { try await driver.create("a") }
                if afterDevice {
                    await pause.waitUntilReached()
                    #expect(rename(state, away) == 0)
                    pause.release()
                }
                await call
                #expect(await manager.ids.isEmpty)
                #expect(try await driver.listedIDs() == [])
                #expect(rename(away, state) == 0)
                #expect(try await driver.create("a").volumeID == id.rawValue)
            }
        }
    }

    @Test("a device without a record is never deleted, formatted or given out")
    func stray() async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(id)
        try await withDirectory { directory in
            let log = LogRecorder()
            try await withDriver(manager, in: directory, logger: log.logger(.warning)) { driver in
                #expect(log.lines.contains { $0.contains(id.rawValue) })
                await expect(.failedPrecondition, id.rawValue) { try await driver.create("a") }
                await expect(.failedPrecondition, id.rawValue) { try await driver.delete(id.rawValue) }
                await expect(.notFound, id.rawValue) { try await driver.publish(id.rawValue) }
                await expect(.notFound, id.rawValue) { try await driver.stage(id.rawValue, at: "/x") }
                #expect(await manager.ids == [id])
                #expect(await manager.passed[.delete] == nil)
                #expect(await manager.passed[.attach] == nil)
            }
        }
    }

    @Test("a volume whose device is missing keeps its record")
    func missing() async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try save(record(.ready), in: directory)
            let log = LogRecorder()
            try await withDriver(manager, in: directory, logger: log.logger(.error)) { driver in
                #expect(log.lines.contains { $0.contains(id.rawValue) })
                #expect(driver.records.all.map(\.id) == [id.rawValue])
            }
        }
    }

    @Test("when the devices cannot be listed no record goes")
    func listingFails() async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(id, size: 8 << 20)
        await manager.fail(at: .volumes, DeviceError(.failed, "lvm failed"))
        try await withDirectory { directory in
            try save(record(.ready), in: directory)
            await #expect(throws: DeviceError.self) { try await withDriver(manager, in: directory) { _ in } }
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(try await driver.listedIDs() == [id.rawValue])
            }
        }
    }
}

@Suite("Deletion cut off", .timeLimit(.minutes(1)))
struct DeletionCrashTests {
    @Test("goes on at the next start from where the record says", arguments: [0, 4 << 20] as [UInt64])
    func resumed(erased: UInt64) async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(id, size: 8 << 20)
        var record = record(.deleting)
        record.erased = erased
        try await withDirectory { directory in
            try save(record, in: directory)
            try await withDriver(manager, in: directory, isReady: false) { driver async throws in
                let pause = await manager.pause(at: .delete)
                let recovery = Task { try await driver.recovery().run() }
                await pause.waitUntilReached()
                #expect(try await driver.identity.probe(.init()).ready.value)
                #expect(try await driver.listedIDs() == [id.rawValue])
                await expect(.aborted, id.rawValue) { try await driver.delete(id.rawValue) }
                await expect(.aborted, id.rawValue) { try await driver.create("a") }
                recovery.cancel()
                pause.release()
                try await recovery.value
                #expect(await manager.erasures == [erased])
                #expect(await manager.ids.isEmpty)
                #expect(driver.records.all.isEmpty)
            }
        }
    }

    @Test("a volume that is half deleted cannot be used")
    func unusable() async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(id, size: 8 << 20)
        try await withDirectory { directory in
            try save(record(.deleting), in: directory)
            try await withDriver(manager, in: directory) { driver in
                await expect(.aborted, id.rawValue) { try await driver.create("a") }
                await expect(.notFound) { try await driver.publish(id.rawValue) }
                await expect(.notFound) { try await driver.stage(id.rawValue, at: "/x") }
                await expect(.notFound) {
                    _ = try await driver.controller.validateVolumeCapabilities(
                        .with {
                            $0.volumeID = id.rawValue
                            $0.volumeCapabilities = [.mount()]
                        })
                }
                try await driver.delete(id.rawValue)
                #expect(await manager.ids.isEmpty)
            }
        }
    }

    @Test("a shutdown stops the erasure with ABORTED, and the next start goes on from there")
    func shutdown() async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory) { driver in
                try await driver.create("a", size: 16 * mib)
                let pause = await manager.pause(at: .erasing)
                async let call: Void = expect(.aborted, id.rawValue) { try await driver.delete(id.rawValue) }
                await pause.waitUntilReached()
                driver.shutdown.set()
                pause.release()
                await call
                #expect(driver.records.all.map(\.erased) == [4 << 20])
            }
            try await withDriver(manager, in: directory) { driver in
                #expect(driver.records.all.map(\.phase) == [.deleting])
                try await driver.delete(id.rawValue)
                #expect(await manager.erasures == [0, 4 << 20])
                #expect(driver.records.all.isEmpty)
            }
        }
    }

    @Test("a volume whose device is gone but whose record is not is deleted again without harm")
    func recordLeft() async throws {
        try await withDriver { driver, manager in
            try await driver.create("a")
            await manager.fail(at: .deleted, DeviceError(.failed, "lost the answer"))
            await expect(.internalError) { try await driver.delete(id.rawValue) }
            try await driver.delete(id.rawValue)
            #expect(driver.records.all.isEmpty)
        }
    }

    @Test("one volume that cannot be deleted does not hold up the next")
    func oneFails() async throws {
        let manager = InMemoryDeviceManager()
        let other = VolumeID(name: "b", node: "node-1")
        for id in [id, other] { await manager.add(id, size: 8 << 20) }
        await manager.fail(at: .delete, DeviceError(.unavailable, "its group is not here"))
        try await withDirectory { directory in
            for name in ["a", "b"] { try save(record(.deleting, of: name), in: directory) }
            try await withDriver(manager, in: directory, isReady: false) { driver in
                let deleted = await manager.pause(at: .deleted)
                let recovery = Task { try await driver.recovery().run() }
                await deleted.waitUntilReached()
                recovery.cancel()
                deleted.release()
                try await recovery.value
                #expect(await manager.ids.count == 1)
                #expect(driver.records.all.count == 1)
            }
        }
    }
}

@Suite("Records in the driver", .timeLimit(.minutes(1)))
struct RecordFileTests {
    @Test(
        "a record that cannot be read makes its own volume unusable, no other, and stays",
        arguments: ["", "{", "null", "[]", "{\"id\": \"x\"}", "\u{0}\u{0}"])
    func unreadable(content: String) async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(id)
        try await withDirectory { directory in
            let state = try makeDirectory("\(directory)/state")
            let path = "\(state)/\(id).json"
            try write(Array(content.utf8), to: path)
            try await withDriver(manager, in: directory) { driver in
                await expect(.failedPrecondition, path) { try await driver.create("a") }
                await expect(.failedPrecondition, path) { try await driver.delete(id.rawValue) }
                await expect(.failedPrecondition, path) { try await driver.publish(id.rawValue) }
                await expect(.failedPrecondition, path) { try await driver.stage(id.rawValue, at: "/x") }
                let other = try await driver.create("b").volumeID
                #expect(try await driver.listedIDs() == [other])
                #expect(await manager.ids.contains(id))
            }
            #expect(try read(content.utf8.count, from: path) == Array(content.utf8))
        }
    }

    @Test("what a crash left of a record's writing does not block the volume")
    func temporaryFile() async throws {
        try await withDirectory { directory in
            let state = try makeDirectory("\(directory)/state")
            try write(Array("{\"half".utf8), to: "\(state)/\(id).json.tmp")
            let manager = InMemoryDeviceManager()
            try await withDriver(manager, in: directory) { driver in try await driver.create("a") }
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(try await driver.listedIDs() == [id.rawValue])
            }
        }
    }

    @Test("a record of pmem-csi beside its volume is taken over, and so are creation and deletion")
    func pmemCSI() async throws {
        let foreign = try #require(VolumeID("pvc-8d-" + String(repeating: "0123456789abcdef", count: 4).prefix(56)))
        let manager = InMemoryDeviceManager()
        await manager.add(foreign, size: 8 << 20)
        try await withDirectory { directory in
            let state = try makeDirectory("\(directory)/state")
            let json = """
                {"id":"\(foreign)","size":8388608,"parameters":{"_id":"\(foreign)","deviceMode":"lvm",\
                "eraseafter":"false","name":"pvc-8d","persistencyModel":"normal"}}
                """
            try write(Array(json.utf8), to: "\(state)/\(foreign).json")
            try await withDriver(manager, in: directory) { driver in
                let volume = try await driver.list().entries.map(\.volume)
                #expect(volume.map(\.volumeID) == [foreign.rawValue])
                #expect(volume.first?.capacityBytes == 8 * mib)
                #expect(volume.first?.volumeContext["eraseafter"] == "false")
                #expect(driver.records.all.first?.format == .unknown)
                #expect(driver.records.all.first?.location == "ndbus0region0fsdax")
                try await driver.publish(foreign.rawValue)
                try await driver.unpublish(foreign.rawValue)
                try await driver.delete(foreign.rawValue)
                #expect(await manager.erasures.isEmpty)
                #expect(await manager.ids.isEmpty)
            }
        }
    }
}
