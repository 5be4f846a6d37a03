import CSIProto
import GRPCCore
import LVM
import SwiftProtobuf

/// Volumes that grow, in use and not.
enum GrowthSteps {
    static let topic = Topic(
        title: "Growing volumes",
        steps: [
            step("ext4 grows under a writer", VolumeSpec(name: "pvc-grow", size: 320 * MiB), quick: true),
            step("xfs grows under a writer", VolumeSpec(name: "pvc-grow-xfs", size: 320 * MiB, type: "xfs")),
            step("ext4 on a thin volume does", VolumeSpec(name: "pvc-grow-thin", size: 320 * MiB, isThin: true)),
            Step("a volume that is not in use has the larger file system when it is staged", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-grow-rest")) { volume in
                    try await volume.write("kept")
                    try await lab.csi.expand(volume.id, to: 128 * MiB)
                    let found = try await volume.read()
                    try checkEqual(found.text, "kept", "the file")
                    try check(found.size > 64 * MiB, "the file system has \(found.size) bytes")
                    return "64 MiB became a file system of \(mebibytes(found.size))"
                }
            },
            Step("one lvm run grows it; what it has already runs none", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-grow-runs")) { volume in
                    let runs = try await Metrics.runs { try await lab.csi.expand(volume.id, to: 96 * MiB) }
                    try checkEqual(runs, ["lvextend": 1], "lvm runs")
                    let again = try await Metrics.runs {
                        let answer = try await lab.csi.expand(volume.id, to: 96 * MiB)
                        try checkEqual(UInt64(answer.capacityBytes), 96 * MiB, "capacity_bytes")
                        let smaller = try await lab.csi.expand(volume.id, to: 32 * MiB)
                        try checkEqual(UInt64(smaller.capacityBytes), 96 * MiB, "capacity_bytes")
                        _ = try await lab.csi.free()
                    }
                    try checkEqual(again, [:], "lvm runs of the repetition")
                    return "lvextend once"
                }
            },
            Step("what is added to a volume that was never formatted ends with zeroes", quick: false) { lab in
                try await withDirtySpace(lab) {
                    try await withVolume(VolumeSpec(name: "pvc-grow-blank")) { volume in
                        try await lab.csi.expand(volume.id, to: 128 * MiB)
                        let device = try await lab.device(volume.id)
                        let used = try Kernel.mebibytesInUse(device)
                        try check(used > 0, "the space was clean before, so this proves nothing")
                        try check(try Kernel.isZero(device, 127 * MiB, MiB), "the last MiB is not zero")
                        try await volume.up()
                        return "\(used) of 128 MiB have old data, the last has none; mkfs agreed"
                    }
                }
            },
            Step("more than there is: RESOURCE_EXHAUSTED, and the volume is what it was", quick: false) { lab in
                for isThin in [false, true] {
                    try await withVolume(VolumeSpec(name: "pvc-grow-much", isThin: isThin)) { volume in
                        try await volume.write("kept")
                        try await refused(.resourceExhausted, "1 TiB") {
                            try await lab.csi.expand(volume.id, to: 1 << 40)
                        }
                        try checkEqual(try await lab.find(volume.id)?.volume.size, 64 * MiB, "logical volume")
                        try checkEqual(try await volume.read().text, "kept", "the file")
                    }
                }
                return "thick and thin"
            },
        ]
            + CrashSteps.moments(quick: [], full: [150, 300, 450, 700]) { delay in
                Step("kill -9 \(delay) ms into ControllerExpandVolume: the repetition ends it", quick: false) { lab in
                    try await kill(lab, after: delay)
                }
            })

    private static func step(_ name: String, _ spec: VolumeSpec, quick: Bool = false) -> Step {
        Step(name, quick: quick) { lab in
            let seen = try await withVolume(spec) { volume in try await grow(volume, lab) }
            try await lab.checkNothingLeaked()
            return seen
        }
    }

    private static func grow(_ volume: Volume, _ lab: Lab) async throws -> String {
        try await volume.up()
        let before = try Kernel.size(ofFileSystemAt: volume.targetPath)
        let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
        let answer = try await lab.csi.expand(volume.id, to: 512 * MiB)
        try checkEqual(UInt64(answer.capacityBytes), 512 * MiB, "capacity_bytes")
        try check(answer.nodeExpansionRequired, "node_expansion_required is not set")
        try checkEqual(try await lab.find(volume.id)?.volume.size, 512 * MiB, "logical volume")
        try await volume.nodeExpand()
        try await volume.nodeExpand()
        try await writer.moves()
        let wrote = try await writer.stop()
        let after = try Kernel.size(ofFileSystemAt: volume.targetPath)
        try check(after > before + 150 * MiB, "the file system had \(before) bytes and has \(after)")
        return "\(before >> 20) to \(after >> 20) MiB; \(wrote.count) writes, none waited over \(wrote.longest) ms"
    }

    private static func kill(_ lab: Lab, after delay: Int) async throws -> String {
        try await withVolume(VolumeSpec(name: "pvc-grow-cut")) { volume in
            try await volume.write("kept")
            let cut = try await CrashSteps.killed(lab, after: delay) {
                try await CSI().expand(volume.id, to: 128 * MiB)
            }
            try await CrashSteps.settled(lab)
            let answer = try await lab.csi.expand(volume.id, to: 128 * MiB)
            try checkEqual(UInt64(answer.capacityBytes), 128 * MiB, "capacity_bytes")
            let found = try await volume.read()
            try checkEqual(found.text, "kept", "the file")
            try check(found.size > 64 * MiB, "the file system has \(found.size) bytes")
            try await lab.checkNothingLeaked(expecting: [volume.id])
            return cut
        }
    }

    /// The start of each group's free space full of other data while the body runs.
    static func withDirtySpace<R>(_ lab: Lab, _ body: () async throws -> R) async throws -> R {
        for group in try await lab.groups(mode: "fsdax") {
            try await lab.lvm.createVolume(group: group.name, name: "foreign-dirt", size: 256 * MiB, tags: [])
            try Kernel.fill(try await lab.device("foreign-dirt"), with: 0xd1)
            try await lab.lvm.removeVolume(group: group.name, name: "foreign-dirt")
        }
        return try await body()
    }
}
