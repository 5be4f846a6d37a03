/// Making groups. None of these commands but one gets `-y` or `--force`: on a device with a foreign signature lvm asks
/// whether to wipe it, reads the empty standard input as "no", and the run ends with `foreignSignature`.
extension LVM {
    /// Room for two copies of the metadata of 10,000 volumes; LVM's default of 1 MiB ends near 1,700.
    static let metadataSize = "16m"
    /// What DAX needs to map 2 MiB pages: the data then starts at 18 MiB instead of at 1.
    static let dataAlignment = "2m"
    /// Where the data of our physical volumes starts.
    package static let dataStart: UInt64 = 18 << 20

    private static let geometry = ["--metadatasize", metadataSize, "--dataalignment", dataAlignment]

    package func createPhysicalVolume(device: String) async throws(LVMError) {
        try await run(["pvcreate"] + Self.geometry + [device])
    }

    /// Makes a physical volume anew that a killed vgcreate or vgextend left marked as used, in no group: lvm takes it
    /// no other way than by force. It asks nothing, so the caller must have proof from `PhysicalVolumeLabel`.
    package func recreatePhysicalVolume(device: String) async throws(LVMError) {
        try await run(["pvcreate", "-ff", "-y"] + Self.geometry + [device])
    }

    /// Makes a group with its tags, and its physical volumes, in one run; so a physical volume without a group is left
    /// behind only when lvm itself is killed between two writes.
    package func createGroup(_ name: String, devices: [String], tags: [String]) async throws(LVMError) {
        let arguments = ["vgcreate"] + Self.geometry + ["--physicalextentsize", "\(Self.extentSize)b"]
        try await run(arguments + tags.flatMap { ["--addtag", $0] } + [name] + devices)
    }

    package func extendGroup(_ name: String, devices: [String]) async throws(LVMError) {
        try await run(["vgextend"] + Self.geometry + [name] + devices)
    }

    /// Adding a tag that is there already is no error.
    package func addGroupTag(_ tag: String, group: String) async throws(LVMError) {
        try await run(["vgchange", "--addtag", tag, group])
    }
}
