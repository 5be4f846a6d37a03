import DeviceManager

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
