import CSIProto
import DeviceManager
import Host

/// NodePublishVolume for one staged volume: a bind mount of the staging path, or of the device's node.
struct Publishing {
    let volume: VolumeDevice
    let staging: String
    let target: String
    let readOnly: Bool
    let capability: VolumeCapability

    /// Blocks its thread.
    func publish() throws {
        let table = try MountTable.current()
        let existing = table.at(target)
        if let existing { try check(existing) }
        switch capability.access {
        case .mount:
            guard let staged = staged(table) else { throw notStaged }
            try checkElsewhere(existing, staged)
            if existing == nil { try bind(staged, table) }
        case .block:
            guard let staged = table.at(volume.node(below: staging)), volume.isNode(staged) else { throw notStaged }
            try checkElsewhere(existing, staged)
            if existing == nil { try bindNode(staged, table) }
        }
    }

    /// spdk-csi mounted below the staging path, in a directory with the volume's id for a name.
    private func staged(_ table: MountTable) -> Mount? {
        [staging, volume.node(below: staging)].compactMap(table.at).first(where: volume.isMounted)
    }

    private func bind(_ staged: Mount, _ table: MountTable) throws {
        guard capability.allows(staged.type) else {
            throw DeviceError(
                .failedPrecondition, "volume \(volume.id) is staged with \(staged.type); ask for that, or stage it anew"
            )
        }
        try checkOthers(volume.mounts(in: table).filter { $0.mountPoint != staged.mountPoint })
        try Mounter.createMountPoint(directory: target)
        try Mounter.bind(from: staged.mountPoint, to: target, readOnly: readOnly)
    }

    private func bindNode(_ staged: Mount, _ table: MountTable) throws {
        let others = volume.nodes(in: table).filter { $0.mountPoint != staged.mountPoint }
        try checkOthers(others)
        // The device is writable for all or for none.
        if let other = others.first(where: { $0.isBoundReadOnly != readOnly }) {
            throw DeviceError(
                .failedPrecondition,
                "volume \(volume.id) is published \(readOnly ? "writable" : "read-only") at \(other.mountPoint), "
                    + "and a raw block device cannot be both; unpublish it there first")
        }
        try Mounter.createMountPoint(file: target)
        try volume.setReadOnly(readOnly)
        try Mounter.bind(from: staged.mountPoint, to: target, readOnly: readOnly)
    }

    private var notStaged: DeviceError {
        DeviceError(
            .failedPrecondition,
            "volume \(volume.id) is not staged at \(staging) for this access; call NodeStageVolume first")
    }

    /// Nobody could tell later what NodeUnpublishVolume may unmount.
    private func checkElsewhere(_ existing: Mount?, _ staged: Mount) throws {
        guard existing?.id == staged.id else { return }
        throw DeviceError(
            .invalidArgument, "target_path \(target) is where volume \(volume.id) is staged; name another path")
    }

    private func checkOthers(_ others: [Mount]) throws {
        guard let other = others.first, !capability.allowsSeveralTargets else { return }
        throw DeviceError(
            .failedPrecondition,
            "volume \(volume.id) is published at \(other.mountPoint); this access mode allows one target_path "
                + "(SINGLE_NODE_MULTI_WRITER allows more)")
    }

    /// What is at the target already must be what this call would put there.
    private func check(_ mount: Mount) throws {
        let (isMount, isNode) = (volume.isMounted(as: mount), volume.isNode(mount))
        guard isMount || isNode else {
            throw DeviceError(
                .failedPrecondition, "target_path \(target): \(mount.source) is mounted there, not volume \(volume.id)")
        }
        let isSame =
            isNode
            ? capability.access == .block && mount.isBoundReadOnly == readOnly
            : capability.allows(mount.type)
                && mount.isReadOnly == (readOnly || mount.superOptions.contains("ro"))
        guard isSame else {
            throw DeviceError(
                .alreadyExists,
                "volume \(volume.id) is published at \(target) with another readonly, file system or access type; "
                    + "unpublish it first")
        }
    }
}
