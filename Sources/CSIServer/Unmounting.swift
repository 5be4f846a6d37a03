import DeviceManager
import Host

/// NodeUnstageVolume and NodeUnpublishVolume for one volume, in whatever state an earlier call left it.
///
/// What is mounted at the path and is not of this volume is left alone. Both calls block their thread.
struct Unmounting {
    /// The id as the caller knows the volume.
    let text: String
    /// Nil when nobody knows a volume of that id.
    let volume: VolumeDevice?

    func unpublish(_ target: String) throws {
        let mounts = try MountTable.current().mounts(at: target)
        try check(mounts, at: target)
        try Mounter.unmountAll(target)
        try Mounter.removeMountPoint(target)
        guard let volume, mounts.contains(where: volume.isNode),
            try !volume.nodes(in: MountTable.current()).contains(where: \.isBoundReadOnly)
        else { return }
        try volume.setReadOnly(false)
    }

    /// Throws while the volume is mounted elsewhere: its publications come to an end first.
    ///
    /// Answers whether nothing of the volume is mounted any more.
    func unstage(_ path: String) throws -> Bool {
        let table = try MountTable.current()
        let staged = table.mounts(at: path)
        try check(staged, at: path)
        guard let volume else { return false }
        let node = volume.node(below: path)
        // Below a mounted file system the name is its owner's.
        let nodes = staged.isEmpty ? table.mounts(at: node) : []
        try check(nodes, at: node)
        if !staged.isEmpty || !nodes.isEmpty {
            let own = Set((staged + nodes).map(\.id))
            if let other = (volume.mounts(in: table) + volume.nodes(in: table)).first(where: { !own.contains($0.id) }) {
                throw DeviceError(
                    .failedPrecondition,
                    "volume \(volume.id) is still published at \(other.mountPoint); call NodeUnpublishVolume first")
            }
        }
        try Mounter.unmountAll(path)
        try Mounter.unmountAll(node)
        try Mounter.removeMountPoint(node)
        let rest = try MountTable.current()
        guard volume.mounts(in: rest).isEmpty, volume.nodes(in: rest).isEmpty else { return false }
        try volume.setReadOnly(false)
        return true
    }

    private func check(_ mounts: [Mount], at path: String) throws {
        guard let stranger = mounts.first(where: { !isOurs($0) }) else { return }
        guard let volume else {
            throw DeviceError(.notFound, "volume \(text) does not exist, yet \(stranger.source) is mounted at \(path)")
        }
        throw DeviceError(
            .failedPrecondition,
            "\(path): \(stranger.source) is mounted there, not volume \(volume.id); unmount it yourself")
    }

    /// A node without a device behind it is of no use to anybody, and of a volume that is not attached no other trace
    /// may be left.
    private func isOurs(_ mount: Mount) -> Bool {
        guard let volume else { return false }
        return volume.isMounted(as: mount) || volume.isNode(mount) || mount.isDeadNode
    }
}
