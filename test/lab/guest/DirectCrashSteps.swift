import FoundationEssentials

/// Copies of namespaces, which are made block by block.
enum DirectCopySteps {
    static let topic = Topic(
        title: "Snapshots and clones",
        steps: [
            Step("of a volume that is not in use; nothing depends on anything", quick: false) { lab in
                let seen = try await SnapshotSteps.snapshotAndRestore(lab, VolumeSpec(name: "pvc-origin"))
                try await lab.checkNothingLeaked(expecting: [])
                return seen
            },
            Step("of a mounted volume, whose writer waits", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-origin-busy", size: 128 * MiB)) { volume in
                    try await volume.up()
                    try Kernel.write("before", to: "\(volume.targetPath)/file")
                    return try await SnapshotSteps.copyUnderWriter(volume)
                }
            },
            Step("a clone of a sector volume", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-origin-btt", mode: "sector")) { volume in
                    try await volume.write("cloned")
                    return try await withVolume(volume.clone("pvc-clone-btt")) { clone in
                        try checkEqual(try await clone.read().text, "cloned", "the file")
                        return "\(clone.bytes) bytes of \(volume.bytes)"
                    }
                }
            },
        ])
}

/// `kill -9` of the driver while a namespace is made or removed.
enum DirectCrashSteps {
    private static let sector = VolumeSpec(name: "pvc-cut-btt", mode: "sector")
    /// In a region where nothing else is: what is free there begins where the copy was.
    private static let copied = VolumeSpec(
        name: "pvc-copy-cut", size: 256 * MiB, erase: true, parameters: ["region": "region1"])
    private static let erased = VolumeSpec(name: "pvc-cut-erasure", size: 512 * MiB, mode: "sector", erase: true)

    static let topic = Topic(
        title: "kill -9 of the driver",
        steps: [
            Step("half-made namespaces of each kind are gone after the start, their records too") { lab in
                try await halfMade(lab)
            }
        ]
            + ["fsdax", "sector"].map { mode in
                Step("as soon as the kernel has a namespace of \(mode): it is gone, and one volume after the retry") {
                    lab in
                    try await killHalfMade(lab, VolumeSpec(name: "pvc-cut-\(mode)", mode: mode))
                }
            }
            + CrashSteps.moments(quick: [], full: [50, 200, 400, 700, 1000, 1300, 1600, 2000]) { delay in
                Step("\(delay) ms into CreateVolume: no leak, and one volume") { lab in
                    try await CrashSteps.killCreation(lab, after: delay)
                }
            }
            + CrashSteps.moments(quick: [], full: [400, 800, 1200, 1600]) { delay in
                Step("\(delay) ms into CreateVolume of a sector volume: no leak, and one volume") { lab in
                    try await CrashSteps.killCreation(lab, after: delay, sector)
                }
            }
            + CrashSteps.moments(quick: [], full: [500, 1500, 2500]) { delay in
                Step("\(delay) ms into DeleteVolume of a sector volume with erasure: nothing is left") { lab in
                    try await CrashSteps.killDeletion(lab, after: delay, erased)
                }
            }
            + CrashSteps.moments(quick: [], full: [1500]) { delay in
                Step("\(delay) ms into CreateSnapshot of a mounted volume: thawed, no leak, nothing of it is left") {
                    lab in
                    try await CopyCrashSteps.kill(lab, copied, after: delay)
                }
            }
            + CrashSteps.LifeGap.allCases.map { gap in
                Step("after \(gap.rawValue): the call is repeated, the life goes on", quick: false) { lab in
                    try await CrashSteps.kill(lab, after: gap)
                }
            })

    /// Killed with its name and size in the labels; whatever the driver would have done next is not done.
    private static func killHalfMade(_ lab: Lab, _ spec: VolumeSpec) async throws -> String {
        let free = try DirectView.free()
        let running = Task { try await Volume.create(spec) }
        try await eventually("a namespace", within: .seconds(60)) { try DirectView.free() != free }
        try await lab.driver.crash()
        if case .success = await running.result { throw Failure("CreateVolume had ended already") }
        let left = try await DirectView.volumes()
        try checkEqual(left.count, 1, "namespaces left by the kill")
        try await lab.driver.start()
        try await lab.checkNothingLeaked(expecting: [])
        try checkEqual(try DirectView.free(), free, "free bytes of the regions")
        return try await withVolume(spec) { volume in
            try checkEqual(volume.id, left[0], "the volume's id and the name of what was left")
            try await volume.up()
            return "1 namespace left by the kill, 0 after the start, one volume after the retry"
        }
    }

    /// What a kill can leave, made by hand so that each kind is certainly met: named and sized but never enabled, named
    /// and sized with its page map and disabled, whole and enabled.
    private static func halfMade(_ lab: Lab) async throws -> String {
        let free = try DirectView.free()
        var records: [String: String] = [:]
        var volumes: [Volume] = []
        for kind in ["seed", "disabled", "whole"] {
            let volume = try await Volume.create(VolumeSpec(name: "pvc-half-\(kind)"))
            records[volume.id] = try Kernel.read("\(lab.driver.records)/\(volume.id).json")
            volumes.append(volume)
        }
        let seed = try await DirectView.namespace(volumes[0])
        try await volumes[0].delete()
        try await lab.driver.stop()
        for (id, record) in records {
            let text = record.replacing("\"ready\"", with: "\"creating\"")
            try check(text != record, "the record of \(id) has no phase ready: \(record)")
            try Kernel.write(text, to: "\(lab.driver.records)/\(id).json")
        }
        _ = try await execute("ndctl", "disable-namespace", DirectView.namespace(volumes[1]).dev).succeeded()
        try makeSeed(named: volumes[0].id, size: 80 * MiB, inRegionOf: seed)
        try checkEqual(try await DirectView.volumes().count, 3, "namespaces before the start")
        try await lab.driver.start()
        try await lab.checkNothingLeaked(expecting: [])
        try checkEqual(try DirectView.free(), free, "free bytes of the regions")
        return "3 namespaces and 3 records taken back"
    }

    /// As `ndctl create-namespace` begins, and no further.
    private static func makeSeed(named name: String, size: UInt64, inRegionOf other: DirectView.Namespace) throws {
        let region = "region\(other.dev.dropFirst("namespace".count).prefix { $0 != "." })"
        let devices = "/sys/bus/nd/devices"
        let seed = try Kernel.read("\(devices)/\(region)/namespace_seed").filter { !$0.isNewline }
        try Kernel.write(name, toExisting: "\(devices)/\(seed)/alt_name")
        try Kernel.write("11111111-2222-4333-8444-555555555555", toExisting: "\(devices)/\(seed)/uuid")
        try Kernel.write("\(size)", toExisting: "\(devices)/\(seed)/size")
    }
}
