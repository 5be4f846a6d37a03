import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@Suite("Volumes of another device manager", .timeLimit(.minutes(5)))
struct OtherManagerTests {
    /// A volume of files, and then a driver with namespaces on the same records.
    private func afterSwitch(
        _ body: (Driver, InMemoryDeviceManager, Csi_V1_Volume) async throws -> Void
    ) async throws {
        try await withDirectory { directory in
            let files = InMemoryDeviceManager(location: "thick")
            let volume = try await withDriver(files, in: directory) { try await $0.create("of-files") }
            let own = InMemoryDeviceManager(location: "region0")
            let manager = MixedDeviceManager(.direct, own, others: [.file: files], logger: quiet)
            try await withDriver(manager, in: directory) { driver in try await body(driver, files, volume) }
        }
    }

    @Test("they are listed and deleted, by the manager that made them")
    func deletion() async throws {
        try await afterSwitch { driver, files, volume in
            let listed = try await driver.controller.listVolumes(.init()).entries.map(\.volume.volumeID)
            #expect(listed == [volume.volumeID])
            try await driver.delete(volume.volumeID)
            #expect(try await files.volumes().isEmpty)
            #expect(try await driver.controller.listVolumes(.init()).entries.isEmpty)
        }
    }

    @Test("they are neither published, grown, changed nor copied, and the message says with what they could be")
    func refusals() async throws {
        try await afterSwitch { driver, files, volume in
            let id = volume.volumeID
            let before = await files.passed.filter { $0.key != .volume }
            await expect(.failedPrecondition, id, "-deviceManager=file") {
                _ = try await driver.controller.controllerPublishVolume(
                    .with {
                        ($0.volumeID, $0.nodeID, $0.volumeCapability) = (id, "node-1", .mount())
                    })
            }
            await expect(.failedPrecondition, "-deviceManager=file") {
                _ = try await driver.controller.controllerExpandVolume(
                    .with { ($0.volumeID, $0.capacityRange.requiredBytes) = (id, 64 * mib) })
            }
            await expect(.failedPrecondition, "-deviceManager=file") {
                _ = try await driver.controller.controllerModifyVolume(
                    .with { ($0.volumeID, $0.mutableParameters) = (id, ["eraseafter": "false"]) })
            }
            await expect(.failedPrecondition, "-deviceManager=file") {
                _ = try await driver.controller.createSnapshot(.with { ($0.sourceVolumeID, $0.name) = (id, "s") })
            }
            await expect(.failedPrecondition, "-deviceManager=file") {
                try await driver.create(.volume("clone").with { $0.volumeContentSource.volume.volumeID = id })
            }
            // Nothing but looked for.
            #expect(await files.passed.filter { $0.key != .volume } == before)
        }
    }

    @Test("what is made now needs nothing of a manager that does not work any more")
    func unreachable() async throws {
        try await afterSwitch { driver, files, _ in
            await files.fail(at: .volume, DeviceError(.unavailable, "device-mapper is gone"))
            try await driver.create("new")
        }
    }

    @Test("what is made now is the driver's own")
    func creation() async throws {
        try await afterSwitch { driver, files, volume in
            let made = try await driver.create("new")
            #expect(try driver.records.record(#require(VolumeID(made.volumeID)))?.location == "region0")
            #expect(try await files.volumes().map(\.id.rawValue) == [volume.volumeID])
        }
    }
}
