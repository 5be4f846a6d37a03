import CSIProto
import DeviceManager
import FoundationEssentials
import TestSupport

@testable import CSIServer

/// The id of the volume "a" in the tests of crashes.
let volumeA = VolumeID(name: "a", node: "node-1")

/// A record as a crash leaves it.
func crashRecord(_ phase: VolumeRecord.Phase, of name: String = "a", size: UInt64 = 8 << 20) -> VolumeRecord {
    let spec = VolumeSpec(
        id: VolumeID(name: name, node: "node-1"), name: name, size: SizeRange(required: size), parameters: .init())
    var record = VolumeRecord(
        spec: spec, capabilities: ["mount ext4 SINGLE_NODE_WRITER"], location: "ndbus0region0fsdax", created: 0)
    record.phase = phase
    return record
}

func save(_ record: VolumeRecord, in directory: String) throws {
    try VolumeRecords(directory: "\(directory)/state", logger: quiet).save(record)
}

/// Runs `body` on what is left if the driver is killed now: a copy of its records, and of its devices.
func afterCrash(
    of directory: String, _ manager: InMemoryDeviceManager, _ body: (Driver, InMemoryDeviceManager) async throws -> Void
) async throws {
    let left = await manager.afterCrash()
    try await withDirectory { other in
        try FileManager.default.copyItem(atPath: "\(directory)/state", toPath: "\(other)/state")
        try await withDriver(left, in: other) { driver in
            // A client that is never used does not stand its end.
            _ = try await driver.identity.probe(.init())
            try await body(driver, left)
        }
    }
}
