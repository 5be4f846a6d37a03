import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("allocation: publish", .timeLimit(.minutes(5)))
struct LateAllocationTests {
    private func late(_ name: String, size: Int64 = 8 * mib) -> Csi_V1_CreateVolumeRequest {
        .volume(name, size: size).with { $0.parameters["allocation"] = "publish" }
    }

    @Test("room is taken with the creation, the device is made with the publication")
    func life() async throws {
        try await withDriver { driver, manager in
            let free = try await driver.free()
            let volume = try await driver.create(late("a"))
            #expect(volume.volumeContext["allocation"] == "publish")
            #expect(try await driver.create(late("a")) == volume)
            #expect(try await driver.free() == free - 8 * mib)
            #expect(await manager.ids.isEmpty)
            #expect(try await driver.listedIDs() == [volume.volumeID])
            await expect(.failedPrecondition, "device") {
                try await driver.stage(volume.volumeID, at: "/nonexistent/stage")
            }
            try await driver.publish(volume.volumeID)
            try await driver.publish(volume.volumeID)
            #expect(await manager.ids.map(\.rawValue) == [volume.volumeID])
            #expect(try await driver.free() == free - 8 * mib)
            // Detaching never erases.
            try await driver.unpublish(volume.volumeID)
            #expect(await manager.ids.count == 1)
            try await driver.delete(volume.volumeID)
            #expect(await manager.ids.isEmpty)
            #expect(try await driver.free() == free)
        }
    }

    @Test("what was promised is not given to others, and comes back when it is deleted")
    func room() async throws {
        try await withDriver(size: 64 << 20) { driver, _ in
            let id = try await driver.create(late("a", size: 48 * mib)).volumeID
            await expect(.resourceExhausted) { try await driver.create("b", size: 32 * mib) }
            await expect(.resourceExhausted) { try await driver.create(late("b", size: 32 * mib)) }
            let grown = try await driver.controller.controllerExpandVolume(
                .with {
                    $0.volumeID = id
                    $0.capacityRange.requiredBytes = 60 * mib
                })
            #expect(grown.capacityBytes == 60 * mib)
            #expect(try await driver.free() == 4 * mib)
            try await driver.delete(id)
            try await driver.create("b", size: 32 * mib)
        }
    }

    @Test("a publication that fails leaves the promise, as does one that was cut off by a crash")
    func failures() async throws {
        try await withDirectory { directory in
            let manager = InMemoryDeviceManager()
            let id = try await withDriver(manager, in: directory) { driver in
                let id = try await driver.create(late("a")).volumeID
                await manager.fail(at: .created, DeviceError(.failed, "the device is broken"))
                await expect(.internalError, "broken") { try await driver.publish(id) }
                #expect(await manager.ids.isEmpty)
                return id
            }
            // As if it had been killed after the device was made.
            let restarted = await manager.afterCrash()
            await restarted.add(try #require(VolumeID(id)), size: 8 << 20)
            try await withDriver(restarted, in: directory) { driver in
                #expect(await restarted.ids.isEmpty)
                #expect(try await driver.free() == (1 << 30) - 8 * mib)
                try await driver.publish(id)
                #expect(await restarted.ids.count == 1)
            }
        }
    }

    @Test("copies and thin volumes have no late allocation")
    func refusals() async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create(late("a")).volumeID
            await expect(.failedPrecondition, "published") {
                try await driver.create(.volume("b").with { $0.volumeContentSource.volume.volumeID = id })
            }
            let source = try await driver.create("c").volumeID
            await expect(.invalidArgument, "allocation") {
                try await driver.create(late("d").with { $0.volumeContentSource.volume.volumeID = source })
            }
            await expect(.invalidArgument, "allocation", "thin") {
                try await driver.create(late("d").with { $0.parameters["provisioning"] = "thin" })
            }
            await expect(.invalidArgument, "allocation") {
                try await driver.create(.volume("d").with { $0.parameters["allocation"] = "later" })
            }
        }
    }
}
