import CSIProto
import GRPCCore
import Glibc
import SwiftProtobuf

/// Volumes that are mounted: what is written stays, wherever the volume goes.
enum MountChecks {
    static let topic = Topic(
        "Mounted volumes",
        [
            Check("a life: written, taken down, mounted again, read") { driver in
                for type in try driver.filesystems() {
                    let volume = try await driver.volume("life", .mount(type))
                    let payload = Payload(seed: 7, mebibytes: 4)
                    try await volume.up()
                    try requireEqual(try Disk.mount(at: volume.target)?.type, type, "file system")
                    try payload.write(to: volume.payload)
                    try await volume.down()
                    try require(!Disk.exists(volume.target), "NodeUnpublishVolume left the target path")
                    try require(!driver.offers(.stage) || Disk.exists(volume.staging), "the staging path was removed")
                    try await volume.up()
                    try payload.check(volume.payload, "after the second mount")
                    try await volume.down()
                }
                return driver.settings.filesystems.joined(separator: ", ")
            },
            Check("its size is what CreateVolume said") { driver in
                let volume = try await driver.volume(size: 64 * MiB)
                try await volume.up()
                let seen = try Disk.fileSystem(volume.target).size
                try require(seen <= volume.size && seen > volume.size * 7 / 10, "\(seen) of \(volume.size) bytes")
                return "\(mebibytes(seen)) of \(mebibytes(volume.size))"
            },
            Check("a full file system is an error of the pod's, not of the driver's") { driver in
                let volume = try await driver.volume()
                try await volume.up()
                var isFull = false
                do {
                    try Payload(seed: 3, mebibytes: Int(volume.size / MiB) + 1).write(to: volume.payload)
                } catch {
                    isFull = true
                }
                try require(isFull, "more was written than the volume has")
                try await volume.down()
                return "ENOSPC"
            },
            Check("a file system that is there is never replaced", needs: [.stage]) { driver in
                let volume = try await driver.volume("kept", .mount(driver.capability.mount.fsType), size: 320 * MiB)
                let payload = Payload(seed: 9)
                try await volume.up()
                try payload.write(to: volume.payload)
                try await volume.down()
                try await volume.attachIt()
                for type in driver.settings.filesystems.dropFirst() where driver.offers(.filesystem(type)) {
                    let other = volume.stage.changing { $0.volumeCapability = .mount(type) }
                    try await driver.expect(.failedPrecondition, .invalidArgument, .alreadyExists, of: other, type)
                }
                try await volume.stageIt()
                try payload.check("\(volume.staging)/payload", "after the attempts")
                return "\(driver.settings.filesystems.count - 1) attempts"
            },
            Check("staged twice, in another way, somewhere else", needs: [.stage]) { driver in
                let volume = try await driver.volume()
                try await volume.attachIt()
                try await volume.stageIt()
                try await driver.expect(.ok, of: volume.stage, "again")
                let fs = volume.capability.mount.fsType
                let noatime = volume.stage.changing { $0.volumeCapability = .mount(fs, flags: ["noatime"]) }
                try await driver.expect(.alreadyExists, of: noatime, "with other flags")
                try require(try Disk.mounts(below: volume.directory).count <= 1, "mounted more than once")
                return "again: OK; other flags: ALREADY_EXISTS"
            },
            Check("mount flags arrive", needs: [.stage]) { driver in
                let fs = driver.capability.mount.fsType
                let volume = try await driver.volume("flags", .mount(fs, flags: ["noatime", "nodiratime"]))
                try await volume.up()
                let lines = try Disk.text("/proc/self/mountinfo").split(separator: "\n")
                let line = lines.first { $0.contains(" \(volume.target) ") }
                try require(line?.contains("noatime") == true, "noatime is not among its options")
                return "noatime"
            },
            Check("flags that no file system knows are refused, without the flag in the message", needs: [.stage]) {
                driver in
                let flag = "x\(Driver.marker)"
                let volume = try await driver.volume()
                try await volume.attachIt()
                try volume.makeDirectories()
                let fs = volume.capability.mount.fsType
                let request = volume.stage.changing { $0.volumeCapability = .mount(fs, flags: [flag]) }
                try await driver.expect(.invalidArgument, .failedPrecondition, of: request)
                try require(try Disk.mount(at: volume.staging) == nil, "mounted in spite of it")
                try await driver.expect(.ok, of: volume.stage, "without the flag")
                return "refused, and fine without it"
            },
        ])
}
