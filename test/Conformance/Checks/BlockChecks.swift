import CSIProto
import GRPCCore
import Glibc
import SwiftProtobuf

/// Raw block volumes: a device at the target path.
enum BlockChecks {
    static let topic = Topic(
        "Block volumes",
        [
            Check("a life: a device of the right size, written, read again", needs: [.block]) { driver in
                let volume = try await driver.volume("block", .block())
                let (first, last) = (Payload(seed: 11), Payload(seed: 12, mebibytes: 1))
                let end = volume.size - MiB
                try await volume.up()
                try require(Disk.isBlockDevice(volume.target), "no block device at the target path")
                try requireEqual(try Disk.size(volume.target), volume.size, "size of the device")
                try first.write(to: volume.target)
                try last.write(to: volume.target, at: end)
                try await volume.down()
                try require(!Disk.exists(volume.target), "the target path is left")
                try await volume.up()
                try first.check(volume.target, "after the second publish")
                try last.check(volume.target, at: end, "the last MiB after the second publish")
                return mebibytes(volume.size)
            },
            Check("a new one reads as zeroes at both ends", needs: [.block]) { driver in
                let volume = try await driver.volume("block", .block())
                try await volume.up()
                for offset in [0, volume.size - MiB] {
                    let isZero = try Disk.opened(volume.target, O_RDONLY) { file in
                        var piece = [UInt8](repeating: 1, count: Int(MiB))
                        return pread(file, &piece, piece.count, Int(offset)) == piece.count
                            && piece.allSatisfy { $0 == 0 }
                    }
                    try require(isZero, "the MiB at \(offset) holds something")
                }
                return "the first and the last MiB"
            },
            Check("read-only refuses writes", needs: [.block]) { driver in
                let volume = try await driver.volume("block", .block())
                try await volume.up()
                try Payload(seed: 13).write(to: volume.target)
                try await driver.send(volume.unpublish)
                try await driver.send(volume.publish.changing { $0.readonly = true })
                try Payload(seed: 13).check(volume.target, "read-only")
                try require(!PublishChecks.canWrite(volume.target), "a read-only device was written")
                try await driver.send(volume.unpublish)
                try await driver.send(volume.publish)
                try require(PublishChecks.canWrite(volume.target), "it cannot be written any more")
                return "refused, and writable afterwards"
            },
            Check("again: the same is OK, another way is ALREADY_EXISTS", needs: [.block]) { driver in
                let volume = try await driver.volume("block", .block())
                try await volume.up()
                try await driver.expect(.ok, of: volume.publish, "again")
                try await driver.expect(
                    .alreadyExists, of: volume.publish.changing { $0.readonly = true }, "read-only")
                if driver.offers(.stage) { try await driver.expect(.ok, of: volume.stage, "again") }
                return "OK, ALREADY_EXISTS"
            },
            Check("not mounted while it is a device, and the other way round", needs: [.block, .stage]) { driver in
                let fs = driver.capability.mount.fsType
                let both = driver.creation("both", .block()).changing {
                    $0.volumeCapabilities = [.block(), .mount(fs)]
                    $0.capacityRange.requiredBytes = driver.size(for: .mount(fs))
                }
                guard try await driver.outcome(both) == .ok else { return "a volume of both kinds is refused" }
                let volume = try await driver.create(both)
                try await volume.up()
                let mount = volume.stage.changing { $0.volumeCapability = .mount(fs) }
                let answer = try await driver.expect(
                    .failedPrecondition, .alreadyExists, of: mount, "beside the device")
                return "a mount is refused: \(name(answer))"
            },
            Check("statistics are its size", needs: [.block, .stats]) { driver in
                let volume = try await driver.volume("block", .block())
                try await volume.up()
                let usage = try await driver.send(volume.stats).usage.first { $0.unit == .bytes }
                try requireEqual(usage?.total, volume.size, "total")
                return mebibytes(volume.size)
            },
            Check("grows under its user", needs: [.block, .expansion, .onlineExpansion]) { driver in
                let volume = try await driver.volume("block", .block())
                try await volume.up()
                try Payload(seed: 14).write(to: volume.target)
                let answer = try await driver.send(volume.expansion(to: volume.size * 2))
                if answer.nodeExpansionRequired {
                    try await driver.send(volume.nodeExpansion(to: volume.size * 2))
                }
                try requireEqual(try Disk.size(volume.target), answer.capacityBytes, "size of the device")
                try Payload(seed: 14).check(volume.target, "after growing")
                try Payload(seed: 15, mebibytes: 1).write(to: volume.target, at: answer.capacityBytes - MiB)
                return "\(mebibytes(volume.size)) to \(mebibytes(answer.capacityBytes))"
            },
        ])
}
