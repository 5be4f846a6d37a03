import CSIProto
import LVM

/// One volume's life, with what the kernel says after each call.
enum LifeSteps {
    static let spec = VolumeSpec(name: "pvc-life of a volume", size: 256 * MiB)

    static let topic = Topic(
        title: "A volume's life",
        steps: [
            Step("a file is written through DAX to a new volume") { lab in
                let free = try await lab.free(mode: "fsdax")
                let seen = try await withVolume(spec) { volume in try await write(volume, lab) }
                try checkEqual(try await lab.free(mode: "fsdax"), free, "free space afterwards")
                try await lab.checkNothingLeaked()
                return seen
            },
            Step("2 MiB of a file take one page fault") { lab in
                try await withVolume(spec) { volume in
                    try await volume.up()
                    let faults = try DirectAccess.touch("\(volume.targetPath)/huge", pieces: 16)
                    try check(faults.huge >= 12, "\(faults.huge) of \(faults.pieces) pieces of 2 MiB were huge pages")
                    return "\(faults.huge) of \(faults.pieces) pieces of 2 MiB, instead of 512 faults each"
                }
            },
        ] + common + [
            Step("a sector volume works, without DAX") { lab in
                try await withVolume(VolumeSpec(name: "pvc-sector", mode: "sector")) { volume in
                    try await volume.up()
                    let group = try await lab.find(volume.id)?.group.name ?? ""
                    try check(group.hasSuffix("sector"), "the volume is in the group \"\(group)\"")
                    let mount = try Kernel.mounts(at: volume.targetPath)
                    try check(mount.count == 1 && !mount[0].isDirect, "\(mount)")
                    try Kernel.write("sectors", to: "\(volume.targetPath)/file")
                    try await volume.unpublish()
                    try await volume.publish()
                    try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "sectors", "the file")
                    return "in \(group), \(mount[0].options.joined(separator: ","))"
                }
            }
        ])

    /// Whatever the volumes are made of.
    static let common = [
        Step("every call may come twice") { lab in
            let volume = try await Volume.create(spec)
            let again = try await Volume.create(spec)
            try checkEqual(again.id, volume.id, "volume id")
            try checkEqual(again.context, volume.context, "volume context")
            try await cleaningUp(volume) {
                for call in calls + calls.reversed().map({ ($0.0, $0.2, $0.1) }) {
                    try await call.1(volume)
                    try await call.1(volume)
                    try checkMounts(volume, after: call.0)
                }
                try await volume.delete()
                try await volume.delete()
            }
            try await lab.checkNothingLeaked()
            return "8 calls, no second volume or mount"
        },
        Step("a read-only publish cannot be written to") { lab in
            try await withVolume(spec) { volume in
                try await volume.controllerPublish()
                try await volume.stage()
                try await volume.publish(readOnly: true)
                let mount = try Kernel.mounts(at: volume.targetPath)
                try check(mount.count == 1 && mount[0].isReadOnly, "\(mount)")
                do {
                    try Kernel.write("x", to: "\(volume.targetPath)/x")
                } catch { return text(of: error) }
                throw Failure("a file could be written")
            }
        },
        Step("mount flags reach the mount", quick: false) { lab in
            var spec = spec
            spec.flags = ["noatime", "commit=47"]
            return try await withVolume(spec) { volume in
                try await volume.up()
                let options = try Kernel.mounts(at: volume.targetPath).first?.options ?? []
                try check(spec.flags.allSatisfy(options.contains), "\(options)")
                return spec.flags.joined(separator: ",")
            }
        },
    ]

    /// Calls of a life in order, each with the one that undoes it.
    typealias Call = @Sendable (Volume) async throws -> Void
    static let calls: [(String, Call, Call)] = [
        ("ControllerPublishVolume", { try await $0.controllerPublish() }, { try await $0.controllerUnpublish() }),
        ("NodeStageVolume", { try await $0.stage() }, { try await $0.unstage() }),
        ("NodePublishVolume", { try await $0.publish() }, { try await $0.unpublish() }),
    ]
}
