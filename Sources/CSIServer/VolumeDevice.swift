import DeviceManager
import Host

/// The block device of a volume, and how to recognise what is mounted of it: its file system, or its node, which is
/// bound to a file for raw block access.
struct VolumeDevice: Sendable {
    /// As messages name the volume, and the file that its node is bound to.
    let id: String
    /// Nil while the device is not attached.
    let path: String?
    /// Paths that it had before it was lost and came back: under them it may still be mounted.
    var former: [String] = []

    init(id: String, path: String?, former: [String] = []) {
        self.id = id
        self.path = path
        self.former = former
    }

    /// Nil when the volume has no device yet.
    init?(of record: VolumeRecord, in manager: any DeviceManager) async throws {
        guard let id = VolumeID(record.id), let location = record.location else { return nil }
        self.init(id: record.id, path: try await manager.device(id, location: location))
    }

    private var number: DeviceNumber? { path.flatMap { try? BlockDevice(path: $0).number() } }

    /// By number, or by path where the device went away under the mount.
    func isMounted(as mount: Mount) -> Bool {
        guard let path else { return false }
        return mount.device == number || mount.source == path || former.contains(mount.source)
    }

    /// Whether it is mounted from the device as it is now: after a loss it comes back as another.
    func isCurrent(_ mount: Mount) -> Bool { mount.device == number || number == nil }

    func isNode(_ mount: Mount) -> Bool {
        guard let number else { return false }
        return mount.isNode(of: number)
    }

    /// Where its file system is mounted, bind mounts included.
    func mounts(in table: MountTable) -> [Mount] { number.map(table.mounts(of:)) ?? [] }

    /// Where its node is bound to a file.
    func nodes(in table: MountTable) -> [Mount] { number.map(table.nodes(of:)) ?? [] }

    /// The file in the staging directory that the node of a raw block volume is bound to while the volume is staged.
    ///
    /// It makes that visible in the mount table, which is what survives a restart of the driver, and keeps the device
    /// attached.
    func node(below staging: String) -> String { "\(staging)/\(nodeName)" }

    /// Ids of ours are names; what somebody wrote by hand need not be.
    private var nodeName: String {
        id.contains("/") || id == "." || id == ".." ? VolumeID.hash(id, digits: 32) : id
    }

    /// A read-only bind mount of a node does not stop writing, so the device itself is switched.
    func setReadOnly(_ readOnly: Bool) throws(HostError) {
        guard let path, number != nil else { return }
        try BlockDevice(path: path).setReadOnly(readOnly)
    }
}

extension Mount {
    /// Of a device's node: the file system that the node lies in says nothing about the device.
    var isBoundReadOnly: Bool { options.contains("ro") }
}
