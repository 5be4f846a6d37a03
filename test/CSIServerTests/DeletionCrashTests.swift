import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("Deletion cut off", .timeLimit(.minutes(5)))
struct DeletionCrashTests {
    @Test("goes on at the next start from where the record says", arguments: [0, 4 << 20] as [UInt64])
    func resumed(erased: UInt64) async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(volumeA, size: 8 << 20)
        var record = crashRecord(.deleting)
        record.erased = erased
        try await withDirectory { directory in
            try save(record, in: directory)
            try await withDriver(manager, in: directory, isReady: false) { driver async throws in
                let pause = await manager.pause(at: .delete)
                let recovery = Task { try await driver.recovery().run() }
                await pause.waitUntilReached()
                #expect(try await driver.identity.probe(.init()).ready.value)
                #expect(try await driver.listedIDs() == [volumeA.rawValue])
                await expect(.aborted, volumeA.rawValue) { try await driver.delete(volumeA.rawValue) }
                await expect(.aborted, volumeA.rawValue) { try await driver.create("a") }
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
        await manager.add(volumeA, size: 8 << 20)
        try await withDirectory { directory in
            try save(crashRecord(.deleting), in: directory)
            try await withDriver(manager, in: directory) { driver in
                await expect(.aborted, volumeA.rawValue) { try await driver.create("a") }
                await expect(.notFound) { try await driver.publish(volumeA.rawValue) }
                await expect(.notFound) { try await driver.stage(volumeA.rawValue, at: "/x") }
                await expect(.notFound) {
                    _ = try await driver.controller.validateVolumeCapabilities(
                        .with {
                            $0.volumeID = volumeA.rawValue
                            $0.volumeCapabilities = [.mount()]
                        })
                }
                try await driver.delete(volumeA.rawValue)
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
                async let call: Void = expect(.aborted, volumeA.rawValue) { try await driver.delete(volumeA.rawValue) }
                await pause.waitUntilReached()
                driver.shutdown.set()
                pause.release()
                await call
                #expect(driver.records.all.map(\.erased) == [4 << 20])
            }
            try await withDriver(manager, in: directory) { driver in
                #expect(driver.records.all.map(\.phase) == [.deleting])
                try await driver.delete(volumeA.rawValue)
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
            await expect(.internalError) { try await driver.delete(volumeA.rawValue) }
            try await driver.delete(volumeA.rawValue)
            #expect(driver.records.all.isEmpty)
        }
    }

    @Test("one volume that cannot be deleted does not hold up the next")
    func oneFails() async throws {
        let manager = InMemoryDeviceManager()
        let other = VolumeID(name: "b", node: "node-1")
        for id in [volumeA, other] { await manager.add(id, size: 8 << 20) }
        await manager.fail(at: .delete, DeviceError(.unavailable, "its group is not here"))
        try await withDirectory { directory in
            for name in ["a", "b"] { try save(crashRecord(.deleting, of: name), in: directory) }
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
