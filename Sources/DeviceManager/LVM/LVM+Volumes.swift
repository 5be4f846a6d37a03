extension LVM {
    /// Makes and activates a linear volume of at least `size` bytes; LVM rounds up to whole extents. The contents are
    /// whatever the space held before: LVM's own zeroing and wiping (`-Zn -Wn`) need a device node that exists at
    /// once, which nobody promises without udev. `-y` therefore has nothing left to agree to.
    package func createVolume(group: String, name: String, size: UInt64, tags: [String]) async throws(LVMError) {
        let (padded, overflow) = size.addingReportingOverflow(511)
        guard size > 0, !overflow else {
            throw LVMError(.invalidArgument, "a volume of \(size) bytes cannot be made: \(group)/\(name)")
        }
        // lvm takes multiples of 512 bytes only.
        var arguments = ["lvcreate", "-Zn", "-Wn", "-y", "-L", "\(padded / 512 * 512)b", "-n", name]
        arguments += added(tags)
        if !settings.deviceMapper {
            arguments.append("-an")
        }
        try await run(arguments + [group])
    }

    /// Deactivates and removes a volume. `-f -y` only answers "do you really want to remove an active volume"; one
    /// that is open or mounted is refused with `inUse`. A missing volume or group is `notFound`.
    package func removeVolume(group: String, name: String) async throws(LVMError) {
        try await run(["lvremove", "-f", "-y", "\(group)/\(name)"])
    }

    /// Makes a volume larger, while it is in use too. One that has the size already is refused; a thin one takes no
    /// space yet.
    package func extendVolume(group: String, name: String, size: UInt64) async throws(LVMError) {
        try await run(["lvextend", "-L", "\(size)b", "\(group)/\(name)"])
    }

    /// Loads a volume's tables anew, and lets what was suspended go on.
    package func refresh(group: String, volume: String) async throws(LVMError) {
        try await run(["lvchange", "--refresh", "\(group)/\(volume)"])
    }

    func added(_ tags: [String]) -> [String] { tags.flatMap { ["--addtag", $0] } }

    package func changeTags(group: String, name: String, add: [String], remove: [String]) async throws(LVMError) {
        let changes = remove.flatMap { ["--deltag", $0] } + added(add)
        try await run(["lvchange"] + changes + ["\(group)/\(name)"])
    }

    /// Activates every volume that carries the tag, in all groups. None is no error.
    package func activate(tag: String) async throws(LVMError) {
        try await run(["lvchange", "-ay", "@\(tag)"])
    }

    package func activate(group: String, volume: String) async throws(LVMError) {
        try await run(["lvchange", "-ay", "\(group)/\(volume)"])
    }
}
