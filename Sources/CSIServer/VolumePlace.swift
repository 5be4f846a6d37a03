import DeviceManager
import Host

/// A path at which a volume certainly is, as the mount table says: staged or published, file system or device node.
///
/// Made for one call; all its methods block their thread.
struct VolumePlace: Sendable {
    let volume: VolumeDevice
    let device: BlockDevice
    let path: String
    /// Nil for a raw block device.
    let mount: Mount?

    /// Throws `notFound` when the volume is not at `path`, or not at `staging` if that is given.
    init(of volume: VolumeDevice, at path: String, staging: String?) throws {
        let table = try MountTable.current()
        guard let device = volume.path, let found = Self.mount(of: volume, at: path, table),
            staging.map({ Self.mount(of: volume, at: $0, table) != nil }) ?? true
        else {
            let places = [path, staging].compactMap(\.self).joined(separator: " and ")
            throw DeviceError(.notFound, "volume \(volume.id) is not at \(places)")
        }
        self.volume = volume
        self.device = BlockDevice(path: device)
        self.path = path
        mount = volume.isMounted(as: found) ? found : nil
    }

    /// A raw block device is at its target path itself, and in its staging directory. Nothing is at a relative path.
    private static func mount(of volume: VolumeDevice, at path: String, _ table: MountTable) -> Mount? {
        guard path.hasPrefix("/"), !path.utf8.contains(0) else { return nil }
        if let mount = table.at(path) { return volume.isMounted(as: mount) || volume.isNode(mount) ? mount : nil }
        // Or, as spdk-csi left it, its file system is.
        guard let mount = table.at(volume.node(below: path)), volume.isNode(mount) || volume.isMounted(as: mount)
        else { return nil }
        return mount
    }

    func check(_ capability: VolumeCapability) throws(RequestError) {
        let isAllowed =
            switch (capability.access, mount) {
            case (.block, nil): true
            case (.mount, let mount?): capability.allows(mount.type)
            default: false
            }
        guard isAllowed else {
            let found = mount.map { "as \($0.type)" } ?? "as a raw block device"
            throw RequestError(
                .invalidArgument, "volume_capability: volume \(volume.id) is at \(path) \(found), not as asked for")
        }
    }

    /// Makes the file system as large as the device, whose size is answered.
    func expand(to range: SizeRange) throws -> UInt64 {
        let size = try device.size()
        guard range.required <= size else {
            throw DeviceError(
                .outOfRange,
                "capacity_range: volume \(volume.id) has \(size) bytes, required_bytes is \(range.required); "
                    + "call ControllerExpandVolume first")
        }
        try range.checkLimit(for: volume.id, of: size)
        guard let mount, let type = try? FilesystemType(name: mount.type) else { return size }
        // Through a read-only bind mount nothing can be changed, but there may be another one.
        let mounts = [mount] + volume.mounts(in: try MountTable.current())
        guard let writable = mounts.first(where: { !$0.isReadOnly && $0.root == "/" }) else {
            throw DeviceError(
                .failedPrecondition,
                "volume \(volume.id) is mounted read-only; its file system grows when it is staged writable")
        }
        _ = try Filesystem.grow(type, on: device, mountedAt: writable.mountPoint)
        return size
    }
}
