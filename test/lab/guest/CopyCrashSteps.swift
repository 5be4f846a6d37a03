import CSIProto
import GRPCCore
import LVM

/// `kill -9` of the driver while it copies, or makes what copies need.
enum CopyCrashSteps {
    static let topic = Topic(
        title: "kill -9 in a copy",
        steps: CrashSteps.moments(quick: [1500], full: [400, 800, 2500]) { delay in
            Step("\(delay) ms into CreateSnapshot of a mounted volume: thawed, no leak, nothing of it is left") { lab in
                try await kill(lab, VolumeSpec(name: "pvc-copy-cut", size: 384 * MiB, erase: true), after: delay)
            }
        }
            + CrashSteps.moments(quick: [], full: [300, 600, 900]) { delay in
                Step("\(delay) ms into CreateSnapshot of a mounted thin volume: no leak, the writer goes on") { lab in
                    try await kill(lab, VolumeSpec(name: "pvc-thin-cut", size: 256 * MiB, isThin: true), after: delay)
                }
            }
            + CrashSteps.moments(quick: [], full: [500, 1000, 1500, 2500, 3500]) { delay in
                Step("\(delay) ms into CreateVolume of the first thin volume: no leak, and one volume") { lab in
                    try await killPool(lab, after: delay)
                }
            })

    static func kill(_ lab: Lab, _ spec: VolumeSpec, after delay: Int) async throws -> String {
        try await withVolume(spec) { volume in
            try await volume.up()
            try Kernel.write("before", to: "\(volume.targetPath)/file")
            let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
            let cut = try await CrashSteps.killed(lab, after: delay) {
                try await CSI().createSnapshot("snap-cut", of: volume.id)
            }
            try await writer.moves()
            try await CrashSteps.settled(lab)
            let left = try await lab.checkNothingLeaked() - 1
            let wrote = try await writer.stop()
            try await volume.unpublish()
            try await volume.publish()
            let seen = try await withSnapshot("snap-cut", of: volume) { id in
                try await lab.checkNothingLeaked(expecting: [volume.id, id])
                return try await withVolume(volume.restore(id, as: "\(spec.name)-restored")) {
                    try await $0.read().text
                }
            }
            try checkEqual(seen, "before", "the file in the restored volume")
            return "\(cut); \(left) snapshots after the restart; the writer waited \(wrote.longest) ms at most"
        }
    }

    private static func killPool(_ lab: Lab, after delay: Int) async throws -> String {
        let free = try await lab.free(mode: "fsdax")
        let cut = try await CrashSteps.killed(lab, after: delay) { _ = try await Volume.create(ThinSteps.spec) }
        try await CrashSteps.settled(lab)
        let left = try await lab.checkNothingLeaked()
        if left == 0 { try checkEqual(try await lab.free(mode: "fsdax"), free, "free space after the restart") }
        let volume = try await Volume.create(ThinSteps.spec)
        return try await cleaningUp(volume) {
            try await lab.checkNothingLeaked(expecting: [volume.id])
            try await volume.write("kept")
            try checkEqual(try await volume.read().text, "kept", "the file")
            try await volume.delete()
            try checkEqual(try await lab.free(mode: "fsdax"), free, "free space afterwards")
            return "\(cut); \(left) volumes after the restart"
        }
    }
}
