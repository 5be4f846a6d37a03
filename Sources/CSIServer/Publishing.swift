import CSIProto
import DeviceManager
import Host

/// NodePublishVolume for one staged volume: a bind mount of the staging path.
struct Publishing {
    let pool: LocalPool
    let record: VolumeRecord

    func publish(from staging: String, to target: String, readOnly: Bool, _ capability: VolumeCapability) async throws {
        guard let volume = try await VolumeDevice(of: record, in: pool.manager) else {
            throw RequestError(.failedPrecondition, "volume \(record.id) has no device")
        }
        try await blockingDevice {
            let table = try MountTable.current()
            guard let staged = table.at(staging), volume.isMounted(as: staged) else {
                throw DeviceError(
                    .failedPrecondition, "volume \(volume.id) is not staged at \(staging); call NodeStageVolume first")
            }
            if let existing = table.at(target) {
                return try Self.check(
                    existing, is: volume, at: target, readOnly: readOnly || staged.isReadOnly, capability)
            }
            let others = table.mounts(of: staged.device).map(\.mountPoint).filter { $0 != staged.mountPoint }
            if let other = others.first, capability.mode != .singleNodeMultiWriter {
                throw DeviceError(
                    .failedPrecondition,
                    "volume \(volume.id) is published at \(other); this access mode allows one target_path "
                        + "(SINGLE_NODE_MULTI_WRITER allows more)")
            }
            try Mounter.createMountPoint(directory: target)
            try Mounter.bind(from: staging, to: target, readOnly: readOnly)
        }
    }

    private static func check(
        _ mount: Mount, is volume: VolumeDevice, at target: String, readOnly: Bool, _ capability: VolumeCapability
    ) throws {
        guard volume.isMounted(as: mount) else {
            throw DeviceError(
                .failedPrecondition, "target_path \(target): \(mount.source) is mounted there, not volume \(volume.id)")
        }
        guard mount.isReadOnly == readOnly, capability.allows(mount.type) else {
            throw DeviceError(
                .alreadyExists,
                "volume \(volume.id) is published at \(target) with another readonly or file system; unpublish it first"
            )
        }
    }
}
