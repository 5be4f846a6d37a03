import CSIProto
import Glibc
import LVM
import SwiftProtobuf

/// Overwriting before the space is used again, and its interruption.
enum ErasureSteps {
    static let topic = Topic(
        title: "Erasure",
        steps: [
            Step("without eraseafter the next owner of the space would find data", quick: false) { lab in
                let left = try await reuse(lab, erase: false)
                try check(left.used > 0, "no MiB holds the pattern: the next step would prove nothing")
                return "\(left.used) of \(left.all) MiB still hold the pattern"
            },
            Step("with eraseafter the same space reads as zeroes") { lab in
                let left = try await reuse(lab, erase: true)
                try checkEqual(left.used, 0, "MiB that are not zero")
                return "0 of \(left.all) MiB hold anything"
            },
            Step("a new volume has no old file system, even where nothing was erased", quick: false) { lab in
                let spec = VolumeSpec(name: "pvc-old", erase: false)
                try await withVolume(spec) { volume in
                    try await volume.up()
                    try Kernel.write("old", to: "\(volume.targetPath)/old")
                }
                return try await withVolume(VolumeSpec(name: "pvc-new", erase: false)) { volume in
                    try await volume.up()
                    try check(!Kernel.exists("\(volume.targetPath)/old"), "the old file is there")
                    return "mkfs made a new one"
                }
            },
            Step("SIGTERM stops an erasure, the next start finishes it") { lab in try await interrupt(lab) },
            Step("SIGTERM lets calls in flight finish", quick: false) { lab in
                async let answer = lab.csi.create(VolumeSpec(name: "pvc-in-flight"))
                try await eventually("a record of the volume", within: .seconds(10)) {
                    try !lab.driver.phases().isEmpty
                }
                let end = try await lab.driver.stop()
                let volume = Volume(VolumeSpec(name: "pvc-in-flight"), try await answer)
                try await lab.driver.start()
                return try await cleaningUp(volume) {
                    try checkEqual(end.status, 0, "exit status")
                    try checkEqual(try await lab.csi.ids(), [volume.id], "volumes")
                    try await volume.delete()
                    return "CreateVolume was answered, exit status 0 after \(end.milliseconds) ms"
                }
            },
        ])

    /// Fills a volume with a pattern, deletes it, and looks at the same extents through a volume made with lvm alone.
    private static func reuse(_ lab: Lab, erase: Bool) async throws -> (used: Int, all: Int) {
        let volume = try await Volume.create(VolumeSpec(name: "pvc-pattern", size: 128 * MiB, erase: erase))
        let (place, group) = try await cleaningUp(volume) {
            guard let group = try await lab.find(volume.id)?.group.name else { throw Failure("no \(volume.id)") }
            try Kernel.fill(try await lab.device(volume.id), with: 0xA5)
            let place = try await extents(lab, group, volume.id)
            try await volume.delete()
            return (place, group)
        }
        try await lab.lvm.createVolume(group: group, name: "foreign-look", size: 128 * MiB, tags: [])
        let result: Result<Int, any Error>
        do {
            try checkEqual(try await extents(lab, group, "foreign-look"), place, "place of the next volume")
            result = .success(try Kernel.mebibytesInUse(try await lab.device("foreign-look")))
        } catch {
            result = .failure(error)
        }
        try await lab.lvm.removeVolume(group: group, name: "foreign-look")
        return (try result.get(), 128)
    }

    private static func extents(_ lab: Lab, _ group: String, _ volume: String) async throws -> String {
        try await lab.lvm.run(["lvs", "--noheadings", "-o", "seg_pe_ranges", "\(group)/\(volume)"]).stdout
            .filter { !$0.isWhitespace }
    }

    static func interrupt(_ lab: Lab) async throws -> String {
        let size = UInt64(try await lab.csi.capacity().maximumVolumeSize.value)
        let volume = try await Volume.create(VolumeSpec(name: "pvc-large", size: size, erase: true))
        return try await cleaningUp(volume) {
            let deletion = Task { try await volume.delete() }
            try await eventually("a record in phase deleting", within: .seconds(10)) {
                try lab.driver.phases()[volume.id] == "deleting"
            }
            let end = try await lab.driver.stop()
            let answer = await deletion.result
            try check(try await lab.has(volume.id), "the erasure was over before SIGTERM could stop it")
            if case .success = answer { throw Failure("DeleteVolume was answered OK, and the volume is there") }
            let ready = try await lab.driver.start()
            let listed = try await lab.csi.ids()
            let isThere = try await lab.has(volume.id)
            try check(listed == [volume.id] || !isThere, "not listed while it is being erased: \(listed)")
            try await eventually("the erasure is finished", within: .seconds(60)) { try await lab.csi.ids().isEmpty }
            try checkEqual(try await lab.checkNothingLeaked(), 0, "volumes")
            return
                "stopped after \(end.milliseconds) ms, ready after \(ready) ms (\(listed.count) listed), then finished"
        }
    }
}
