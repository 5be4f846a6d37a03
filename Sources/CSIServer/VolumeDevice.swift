import DeviceManager
import Host

/// The block device of a volume, and how to recognise its mounts.
struct VolumeDevice: Sendable {
    let id: String
    let path: String

    /// Nil when the volume has no device yet.
    init?(of record: VolumeRecord, in manager: any DeviceManager) {
        guard let id = VolumeID(record.id), let location = record.location else { return nil }
        self.id = record.id
        path = manager.devicePath(id, location: location)
    }

    init(of volume: Volume, in manager: any DeviceManager) {
        id = volume.id.rawValue
        path = manager.devicePath(volume.id, location: volume.location)
    }

    /// By number, or by path where the device went away under the mount.
    func isMounted(as mount: Mount) -> Bool {
        if let number = try? BlockDevice(path: path).number(), number == mount.device { return true }
        return mount.source == path
    }
}
