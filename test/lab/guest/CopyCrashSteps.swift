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
            if lab.driver.manager == "direct" { try writePattern(volume) }
            let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
            let cut = try await cutOff(lab, volume, writer, after: delay)
            // A copy that only the answer was missing of stays.
            let kept: Set<String>? = cut.contains("[ready ready]") ? nil : [volume.id]
            let left = try await lab.checkNothingLeaked(expecting: kept) - 1
            if left == 0 && lab.driver.manager == "direct" {
                try checkEqual(try await pagesLeft(by: volume), 0, "pages of the copy in the free memory")
            }
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

    /// Killed while it copies: at that moment or, where the copy was whole by then, at an earlier one. What is left of it
    /// may be overwritten after the start, which goes on in the background.
    private static func cutOff(
        _ lab: Lab, _ volume: Volume, _ writer: Writer, after delay: Int
    ) async throws -> String {
        let cut = try await CrashSteps.killed(lab, after: delay) {
            try await CSI().createSnapshot("snap-cut", of: volume.id)
        }
        try await writer.moves()
        try await CrashSteps.settled(lab)
        try await eventually("what the kill left is gone", within: .seconds(120)) {
            Set(try lab.driver.phases().values) == ["ready"]
        }
        guard let earlier = try CrashSteps.earlier(than: delay, cut) else { return "after \(delay) ms \(cut)" }
        for id in try await lab.csi.snapshotIDs() { try await lab.csi.deleteSnapshot(id) }
        return try await cutOff(lab, volume, writer, after: earlier)
    }

    private static let pattern = "Z"

    /// Whole pages that a copy can be known by.
    private static func writePattern(_ volume: Volume) throws {
        let mebibyte = String(repeating: pattern, count: 1 << 20)
        try Kernel.write(String(repeating: mebibyte, count: 64), to: "\(volume.targetPath)/pattern")
    }

    /// In the memory that a copy of the volume had: a namespace of the same size gets the same.
    private static func pagesLeft(by volume: Volume) async throws -> Int {
        let device = try await DirectView.namespace(volume).dev
        let size = UInt64(try Kernel.read("/sys/bus/nd/devices/\(device)/size").filter(\.isNumber)) ?? 0
        let region = volume.spec.parameters["region"] ?? ""
        return try await DirectErasureSteps.pages(full: pattern.utf8.first ?? 0, of: size, in: region)
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
