import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Logging
import TestSupport
import Testing

@testable import CSIServer

@Suite("Creation cut off", .timeLimit(.minutes(5)))
struct CreationCrashTests {
    @Test("is taken back at the next start, with or without its device", arguments: [true, false])
    func takenBack(hasDevice: Bool) async throws {
        let manager = InMemoryDeviceManager()
        if hasDevice { await manager.add(volumeA) }
        try await withDirectory { directory in
            try save(crashRecord(.creating), in: directory)
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(driver.records.all.isEmpty)
                #expect(await manager.ids.isEmpty)
                #expect(await manager.erasures.isEmpty)
                #expect(try await driver.create("a").volumeID == volumeA.rawValue)
            }
        }
    }

    @Test("one that cannot be taken back yet does not keep the other volumes from being used")
    func notTakenBack() async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(volumeA)
        let other = VolumeID(name: "b", node: "node-1")
        await manager.add(other, size: 8 << 20)
        try await withDirectory { directory in
            try save(crashRecord(.creating), in: directory)
            try save(crashRecord(.ready, of: "b"), in: directory)
            await manager.fail(at: .delete, DeviceError(.inUse, "open in some process"))
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(try await driver.listedIDs() == [other.rawValue])
                #expect(try await driver.create("a").volumeID == volumeA.rawValue)
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

    @Test("while nobody can tell whether a device was left, its record stays")
    func failsBlindly() async throws {
        try await withDriver { driver, manager in
            await manager.fail(at: .created, DeviceError(.failed, "lvm took too long"))
            let pause = await manager.pause(at: .created)
            async let call: Void = expect(.internalError, "too long") { try await driver.create("a") }
            await pause.waitUntilReached()
            await manager.fail(at: .volume, DeviceError(.failed, "lvm took too long"))
            pause.release()
            await call
            #expect(driver.records.all.map(\.phase) == [.creating])
            try await driver.create("a")
            #expect(await manager.ids == [volumeA])
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
                async let call: Void = expect(.internalError, "-statePath", volumeA.rawValue) {
                    try await driver.create("a")
                }
                if afterDevice {
                    await pause.waitUntilReached()
                    #expect(rename(state, away) == 0)
                    pause.release()
                }
                await call
                #expect(await manager.ids.isEmpty)
                #expect(try await driver.listedIDs() == [])
                #expect(rename(away, state) == 0)
                #expect(try await driver.create("a").volumeID == volumeA.rawValue)
            }
        }
    }

    @Test("a device without a record is never deleted, formatted or given out")
    func stray() async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(volumeA)
        try await withDirectory { directory in
            let log = LogRecorder()
            try await withDriver(manager, in: directory, logger: log.logger(.warning)) { driver in
                #expect(log.lines.contains { $0.contains(volumeA.rawValue) })
                await expect(.failedPrecondition, volumeA.rawValue) { try await driver.create("a") }
                await expect(.failedPrecondition, volumeA.rawValue) { try await driver.delete(volumeA.rawValue) }
                await expect(.notFound, volumeA.rawValue) { try await driver.publish(volumeA.rawValue) }
                await expect(.notFound, volumeA.rawValue) { try await driver.stage(volumeA.rawValue, at: "/x") }
                #expect(await manager.ids == [volumeA])
                #expect(await manager.passed[.delete] == nil)
                #expect(await manager.passed[.attach] == nil)
            }
        }
    }

    @Test("a volume whose device is missing keeps its record")
    func missing() async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try save(crashRecord(.ready), in: directory)
            let log = LogRecorder()
            try await withDriver(manager, in: directory, logger: log.logger(.error)) { driver async throws in
                #expect(log.lines.contains { $0.contains(volumeA.rawValue) })
                #expect(try await driver.listedIDs() == [volumeA.rawValue])
            }
        }
    }

    @Test("when the devices cannot be listed no record goes")
    func listingFails() async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(volumeA, size: 8 << 20)
        await manager.fail(at: .volumes, DeviceError(.failed, "lvm failed"))
        try await withDirectory { directory in
            try save(crashRecord(.ready), in: directory)
            await #expect(throws: DeviceError.self) { try await withDriver(manager, in: directory) { _ in } }
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(try await driver.listedIDs() == [volumeA.rawValue])
            }
        }
    }
}
