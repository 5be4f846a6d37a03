import CSIProto
import GRPCCore
import LVM
import SwiftProtobuf

/// Copies of thick volumes, which are copied block by block.
enum SnapshotSteps {
    static let topic = Topic(
        title: "Snapshots and copies",
        steps: [
            Step("of a volume that is not in use; nothing depends on anything", quick: false) { lab in
                let seen = try await snapshotAndRestore(lab, VolumeSpec(name: "pvc-origin"))
                try await lab.checkNothingLeaked(expecting: [])
                return seen
            },
            Step("of a mounted volume, whose writer waits", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-origin-busy", size: 256 * MiB)) { volume in
                    try await volume.up()
                    try Kernel.write("before", to: "\(volume.targetPath)/file")
                    return try await copyUnderWriter(volume)
                }
            },
            Step("of a mounted volume that would take too long: FAILED_PRECONDITION, nothing is frozen", quick: false) {
                lab in
                try await lab.driver.with(flags: "-snapshotFreezeSeconds=1") {
                    try await withVolume(VolumeSpec(name: "pvc-origin-large", size: 1792 * MiB)) { volume in
                        try await volume.up()
                        let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
                        let message = try await refused(.failedPrecondition, "a snapshot") {
                            try await lab.csi.createSnapshot("snap-large", of: volume.id)
                        }
                        try await writer.moves()
                        let wrote = try await writer.stop()
                        try await lab.checkNothingLeaked(expecting: [volume.id])
                        return "\(message.prefix(60))…; the writer waited \(wrote.longest) ms at most"
                    }
                }
            },
            Step("a larger restore has a larger file system", quick: false) { lab in
                var sizes: [String] = []
                for spec in [
                    VolumeSpec(name: "pvc-enlarged", size: 320 * MiB),
                    VolumeSpec(name: "pvc-enlarged-xfs", size: 320 * MiB, type: "xfs"),
                ] {
                    sizes.append(try await enlarge(lab, spec, to: 512 * MiB))
                }
                return sizes.joined(separator: ", ")
            },
            Step("a clone of a mounted xfs volume is mounted beside it", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-cloned", size: 320 * MiB, type: "xfs")) { volume in
                    try await volume.up()
                    try Kernel.write("cloned", to: "\(volume.targetPath)/file")
                    return try await withVolume(volume.clone("pvc-clone")) { clone in
                        try await clone.up()
                        try checkEqual(try Kernel.read("\(clone.targetPath)/file"), "cloned", "the file")
                        try Kernel.write("changed", to: "\(clone.targetPath)/file")
                        try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "cloned", "the original's file")
                        let mount = try Kernel.mounts(at: clone.targetPath).first
                        return mount?.options.joined(separator: ",") ?? ""
                    }
                }
            },
            Step("ControllerModifyVolume of eraseafter changes the tag and what DeleteVolume does", quick: false) {
                lab in
                let volume = try await Volume.create(VolumeSpec(name: "pvc-modified"))
                return try await cleaningUp(volume) {
                    try check(
                        try await lab.find(volume.id)?.volume.tags.contains("csi.eraseafter=false") == true, "tag")
                    try await lab.csi.modify(volume.id, ["eraseafter": "true"])
                    let tags = try await lab.find(volume.id)?.volume.tags ?? []
                    let flags = tags.filter { $0.hasPrefix("csi.eraseafter") }
                    try checkEqual(flags, ["csi.eraseafter=true"], "tags")
                    try await refused(.invalidArgument, "nsmode") {
                        try await lab.csi.modify(volume.id, ["nsmode": "sector"])
                    }
                    let erased = try Metrics.erasedBytes()
                    try await volume.delete()
                    let bytes = try Metrics.erasedBytes() - erased
                    try checkEqual(bytes, volume.bytes, "bytes erased")
                    return "\(mebibytes(bytes)) erased"
                }
            },
        ])

    /// A volume, its snapshot and a restore; the volume goes first, then the snapshot.
    static func snapshotAndRestore(_ lab: Lab, _ spec: VolumeSpec) async throws -> String {
        let volume = try await Volume.create(spec)
        let copy: Volume = try await cleaningUp(volume) {
            try await volume.write("first")
            return try await withSnapshot("snap-\(spec.name)", of: volume) { id in
                let again = try await lab.csi.createSnapshot("snap-\(spec.name)", of: volume.id)
                try checkEqual(again.snapshotID, id, "snapshot id of the repetition")
                try await volume.write("second")
                try await volume.delete()
                return try await Volume.create(volume.restore(id, as: "\(spec.name)-restored"))
            }
        }
        return try await cleaningUp(copy) {
            let text = try await copy.read().text
            try checkEqual(text, "first", "the file in the restored volume")
            try await copy.delete()
            return "the restored volume outlives both, with \"\(text)\" in it"
        }
    }

    static func copyUnderWriter(_ volume: Volume) async throws -> String {
        let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
        return try await withSnapshot("snap-busy-\(volume.spec.name)", of: volume) { id in
            try await writer.moves()
            let wrote = try await writer.stop()
            return try await withVolume(volume.restore(id, as: "\(volume.spec.name)-restored")) { copy in
                try checkEqual(try await copy.read().text, "before", "the file in the restored volume")
                try await copy.up()
                let numbers = try Kernel.read("\(copy.targetPath)/numbers").split(separator: "\n")
                for (index, number) in numbers.enumerated() where String(index) != number {
                    throw Failure("number \(index) in the copy is \(number)")
                }
                try check(!numbers.isEmpty && numbers.count < Int(wrote.count), "\(numbers.count) of \(wrote.count)")
                return
                    "\(numbers.count) of \(wrote.count) numbers are in it; the writer waited \(wrote.longest) ms at most"
            }
        }
    }

    static func enlarge(_ lab: Lab, _ spec: VolumeSpec, to size: UInt64) async throws -> String {
        try await withVolume(spec) { volume in
            try await volume.write("larger")
            return try await withSnapshot("snap-enlarged", of: volume) { id in
                let restore = volume.restore(id, as: "\(spec.name)-restored", size: size)
                return try await withVolume(restore) { copy in
                    try checkEqual(copy.bytes, size, "capacity_bytes")
                    let found = try await copy.read()
                    try checkEqual(found.text, "larger", "the file")
                    try check(found.size > size * 4 / 5, "the file system has \(found.size) bytes")
                    return "\(spec.type) of \(found.size >> 20) MiB"
                }
            }
        }
    }
}
