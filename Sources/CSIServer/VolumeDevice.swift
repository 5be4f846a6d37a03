import DeviceManager
import Host

/// The block device of a volume, and how to recognise its mounts.
struct VolumeDevice: Sendable {
    let id: String
    /// Nil while the device is not attached.
    let path: String?

    /// Nil when the volume has no device yet.
    init?(of record: VolumeRecord, in manager: any DeviceManager) async throws {
        guard let id = VolumeID(record.id), let location = record.location else { return nil }
        self.id = record.id
        path = try await manager.device(id, location: location)
    }

    init(of volume: Volume, in manager: any DeviceManager) async throws {
        id = volume.id.rawValue
        path = try await manager.device(volume.id, location: volume.location)
    }

    /// By number, or by path where the device went away under the mount.
    func isMounted(as mount: Mount) -> Bool {
        guard let path else { return false }
        if let number = try? BlockDevice(path: path).number(), number == mount.device { return true }
        return mount.source == path
    }
}
