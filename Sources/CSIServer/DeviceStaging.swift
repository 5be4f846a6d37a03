import DeviceManager
import Host

/// What NodeStageVolume does with the block device of a volume once it is here: make the file system when that is safe,
/// mount and grow it; or give the raw device out.
///
/// Made for one call, which holds the volume's place in the gate.
struct DeviceStaging {
    let volume: VolumeDevice
    let device: BlockDevice
    /// As the volume's record knows it.
    let format: VolumeRecord.Format
    var hasDAX = false
    /// A copied xfs has the UUID of its source, which may be mounted as well.
    var mayBeCopy = false
    /// Other nodes may have it mounted, so not even a log is replayed.
    var isShared = false
    /// Those who may only read do not make a file system.
    var mayFormat = true
    var lane = BlockingLane.short
    /// Puts the state of the format in the volume's record, on disk.
    let save: @Sendable (VolumeRecord.Format) async throws -> Void

    func stage(at path: String, readOnly: Bool, _ capability: VolumeCapability) async throws {
        switch capability.access {
        case .mount(let filesystem, let flags):
            try await mount(at: path, FilesystemType(name: filesystem), flags, readOnly: readOnly)
        case .block: try await expose(below: path)
        }
    }

    func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await blockingDevice(on: lane, body)
    }

    private func mount(at path: String, _ type: FilesystemType, _ flags: [String], readOnly: Bool) async throws {
        let options = options(flags, type)
        let isDone = try await blocking { [volume] in
            let table = try MountTable.current()
            if try Self.isMounted(volume, at: path, type, options, readOnly: readOnly, table) { return true }
            try Self.checkNotElsewhere(volume, table)
            return false
        }
        if !isDone {
            // A raw block publication that was cut off may have left the device so.
            try await blocking { [device] in try device.setReadOnly(false) }
            try await prepare(type)
            if !readOnly, !flags.contains("ro"), !Filesystem.canGrowMounted(type) {
                try await Filesystem.growUnmountedExt4(on: device)
            }
            try await blocking { [volume, device] in
                try Self.mount(volume, device, at: path, type, options, readOnly: readOnly, isPlain: flags.isEmpty)
            }
        }
        do {
            let hint: UInt32? = hasDAX && type == .xfs ? 2 << 20 : nil
            try await blocking { [device] in try Self.fit(type, on: device, at: path, extentSizeHint: hint) }
        } catch {
            if !isDone { try? await blocking { try Mounter.unmount(path) } }
            throw error
        }
    }

    /// DAX for byte-addressed volumes unless the request says something about it itself.
    private func options(_ flags: [String], _ type: FilesystemType) -> [String] {
        let words = flags.flatMap { $0.split(separator: ",") }
        let isDAXAsked = words.contains { $0 == "dax" || $0.hasPrefix("dax=") }
        let dax = hasDAX && !isDAXAsked ? ["dax"] : []
        let copy = mayBeCopy && type == .xfs && !words.contains("nouuid") ? ["nouuid"] : []
        let log = isShared && !words.contains("noload") && !words.contains("norecovery") ? ["norecovery"] : []
        return flags + dax + copy + log
    }
}

// What runs on a thread that may block.
extension DeviceStaging {
    /// Whether the volume is mounted there as asked; anything else there is refused.
    private static func isMounted(
        _ volume: VolumeDevice, at path: String, _ type: FilesystemType, _ options: [String], readOnly: Bool,
        _ table: MountTable
    ) throws -> Bool {
        guard let mount = table.at(path) else { return false }
        // A file system's own root may be the staging path's parent; only what is mounted at the path itself counts.
        guard volume.isMounted(as: mount) else {
            throw DeviceError(
                .failedPrecondition, "\(path): \(mount.source) is mounted there, not volume \(volume.id)")
        }
        guard volume.isCurrent(mount) else {
            throw DeviceError(
                .failedPrecondition,
                "volume \(volume.id): the device that is mounted at \(path) was lost; unstage the volume first")
        }
        guard mount.type == type.rawValue, mount.isCompatible(readOnly: readOnly, options: options) else {
            throw DeviceError(
                .alreadyExists, "volume \(volume.id) is mounted at \(path) in another way; unmount it there first")
        }
        return true
    }

    /// A volume has one staging path, and one kind of access at a time.
    private static func checkNotElsewhere(_ volume: VolumeDevice, _ table: MountTable) throws {
        if let node = volume.nodes(in: table).first {
            throw DeviceError(
                .failedPrecondition,
                "volume \(volume.id) is in use as a raw block device at \(node.mountPoint); end that first")
        }
        if let other = volume.mounts(in: table).first {
            throw DeviceError(
                .failedPrecondition, "volume \(volume.id) is mounted at \(other.mountPoint) already; unmount it first")
        }
    }

    private static func mount(
        _ volume: VolumeDevice, _ device: BlockDevice, at path: String, _ type: FilesystemType, _ options: [String],
        readOnly: Bool, isPlain: Bool
    ) throws {
        do throws(HostError) {
            try Mounter.mount(device: device.path, at: path, type: type, options: options, readOnly: readOnly)
        } catch {
            // Without flags of the caller's it is the volume that the kernel finds invalid, not the request.
            guard error.code == .invalidArgument, isPlain else { throw error }
            throw DeviceError(.failedPrecondition, "volume \(volume.id): \(error.message)", cause: error)
        }
    }

    /// The device may have grown while nothing was mounted; and huge pages need large extents.
    private static func fit(_ type: FilesystemType, on device: BlockDevice, at path: String, extentSizeHint: UInt32?)
        throws
    {
        guard try MountTable.current().at(path)?.isReadOnly == false else { return }
        if let extentSizeHint { try Filesystem.setExtentSizeHint(root: path, bytes: extentSizeHint) }
        if Filesystem.canGrowMounted(type) { _ = try Filesystem.grow(type, on: device, mountedAt: path) }
    }
}

// Raw block access.
extension DeviceStaging {
    /// What the user writes is not known from now on, which the record says before the node is given out.
    private func expose(below path: String) async throws {
        let node = volume.node(below: path)
        let isDone = try await blocking { [volume, device] in
            let table = try MountTable.current()
            if let present = table.at(path) {
                throw DeviceError(
                    .failedPrecondition,
                    "staging_target_path \(path): \(present.source) is mounted there; unstage it first")
            }
            if let present = table.at(node) {
                guard volume.isNode(present) else {
                    throw DeviceError(.failedPrecondition, "\(node) is a mount point of something else; unmount it")
                }
                return true
            }
            if let other = volume.nodes(in: table).first {
                throw DeviceError(
                    .failedPrecondition, "volume \(volume.id) is in use at \(other.mountPoint) already; end that first")
            }
            // The kernel's own exclusion, which knows of mounts in all mount namespaces.
            try device.checkNotInUse()
            return false
        }
        guard !isDone else { return }
        if format != .block { try await save(.block) }
        try await blocking { [device] in
            try device.setReadOnly(false)
            try Mounter.createMountPoint(file: node)
            try Mounter.bind(from: device.path, to: node, readOnly: false)
        }
    }
}
