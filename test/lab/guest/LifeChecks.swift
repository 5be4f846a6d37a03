import CSIProto
import LVM

extension LifeSteps {
    /// Takes a volume up, writes a file, and checks each fact that the calls promised.
    static func write(_ volume: Volume, _ lab: Lab) async throws -> String {
        try check(volume.bytes >= spec.size, "capacity_bytes \(volume.bytes)")
        try check(isWellFormed(volume.id), "volume id \"\(volume.id)\"")
        guard let found = try await lab.find(volume.id) else { throw Failure("no logical volume \(volume.id)") }
        try checkEqual(found.volume.size, volume.bytes, "size of the logical volume")
        try await volume.up()
        for path in [volume.stagePath, volume.targetPath] {
            let mounts = try Kernel.mounts(at: path)
            try checkEqual(mounts.count, 1, "mounts at \(path)")
            try check(mounts[0].isDirect && mounts[0].type == "ext4", "\(mounts[0])")
        }
        try checkEqual(try Kernel.blockSize(ofFileSystemAt: volume.targetPath), 4096, "file system's block size")
        let size = try Kernel.size(ofFileSystemAt: volume.targetPath)
        try check(size > spec.size * 8 / 10 && size <= volume.bytes, "the file system has \(size) bytes")
        try DirectAccess.writeSynchronously("persistent", to: "\(volume.targetPath)/file")
        try await volume.down()
        try check(try Kernel.mounts().allSatisfy { !$0.point.hasPrefix(volume.directory) }, "a mount is left")
        try check(!Kernel.exists(volume.targetPath), "the target path is left")
        try await volume.up()
        try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "persistent", "the file after unstage and stage")
        return "dax in /proc/mounts, MAP_SYNC accepted, still there after unstage and stage; all space is back"
    }

    /// After a call that came twice: at most one mount at each path, and the right ones.
    static func checkMounts(_ volume: Volume, after call: String) throws {
        let staged = try Kernel.mounts(at: volume.stagePath).count
        let published = try Kernel.mounts(at: volume.targetPath).count
        try check(staged <= 1 && published <= 1, "after \(call): \(staged) and \(published) mounts")
        if call == "NodePublishVolume" { try check(staged == 1, "after \(call): not staged") }
    }

    static func capabilities(_ lab: Lab) async throws -> String {
        let controller = try await lab.csi.controller {
            try await $0.controllerGetCapabilities(.init(), options: CSI.options)
        }
        let has = controller.capabilities.map(\.rpc.type)
        let needed: [Csi_V1_ControllerServiceCapability.RPC.TypeEnum] = [
            .createDeleteVolume, .publishUnpublishVolume, .listVolumes, .getCapacity, .publishReadonly,
        ]
        for capability in needed { try check(has.contains(capability), "no controller capability \(capability)") }
        let node = try await lab.csi.node { try await $0.nodeGetCapabilities(.init(), options: CSI.options) }
        try check(node.capabilities.contains { $0.rpc.type == .stageUnstageVolume }, "no STAGE_UNSTAGE_VOLUME")
        return "\(has.count) controller and \(node.capabilities.count) node capabilities"
    }

    /// Up to 6 letters and digits, 32 hexadecimal digits of the name, 10 of the node.
    static func isWellFormed(_ id: String) -> Bool {
        let parts = id.split(separator: "-", omittingEmptySubsequences: false)
        let digits = Set("0123456789abcdef")
        return parts.count == 3 && (1...6).contains(parts[0].count) && parts[1].count == 32 && parts[2].count == 10
            && parts.dropFirst().allSatisfy { $0.allSatisfy(digits.contains) }
    }
}
