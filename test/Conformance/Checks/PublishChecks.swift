import CSIProto
import GRPCCore
import Glibc
import SwiftProtobuf

/// NodePublishVolume: how often, where, and who may write.
enum PublishChecks {
    static let topic = Topic(
        "Publishing",
        [
            Check("read-only refuses writes, and reads") { driver in
                let volume = try await driver.volume()
                try await volume.up()
                try Payload(seed: 5).write(to: volume.payload)
                try await driver.send(volume.unpublish)
                try await driver.send(volume.publish.changing { $0.readonly = true })
                try Payload(seed: 5).check(volume.payload, "read-only")
                try require(!canWrite(volume.payload), "a read-only volume was written")
                try await driver.send(volume.unpublish)
                try await driver.send(volume.publish)
                try require(canWrite(volume.payload), "it cannot be written any more")
                return "written, read, refused, written"
            },
            Check("SINGLE_NODE_READER_ONLY refuses writes") { driver in
                let fs = driver.capability.mount.fsType
                let volume = try await driver.volume("reader", .mount(fs, .singleNodeReaderOnly))
                try await volume.up()
                try require(!canWrite(volume.payload), "a volume of readers was written")
                return "refused"
            },
            Check("again: the same is OK, another way is ALREADY_EXISTS") { driver in
                let volume = try await driver.volume()
                try await volume.up()
                try await driver.expect(.ok, of: volume.publish, "again")
                try await driver.expect(
                    .alreadyExists, of: volume.publish.changing { $0.readonly = true }, "read-only")
                return "OK, ALREADY_EXISTS"
            },
            Check(
                "a second target_path: by access mode", needs: [.node(.singleNodeMultiWriter)]
            ) { driver in
                let fs = driver.capability.mount.fsType
                let modes: [(Capability.AccessMode.Mode, Set<Outcome>)] = [
                    (.singleNodeSingleWriter, [.failedPrecondition]), (.singleNodeMultiWriter, [.ok]),
                    (.singleNodeWriter, [.failedPrecondition]),
                ]
                for (mode, wanted) in modes {
                    let volume = try await driver.volume("mode", .mount(fs, mode))
                    try await volume.up()
                    let second = volume.publish.changing { $0.targetPath = "\(volume.directory)/pod/second" }
                    try await driver.expect(wanted, of: second, "\(mode)")
                    let isThere = try Disk.mount(at: second.targetPath) != nil
                    try requireEqual(isThere, wanted == [.ok], "mounted at the second path with \(mode)")
                    try await driver.send(volume.unpublish)
                    try requireEqual(try Disk.mount(at: second.targetPath) != nil, isThere, "the second afterwards")
                }
                return "\(modes.count) modes"
            },
            Check("not staged is FAILED_PRECONDITION", needs: [.stage]) { driver in
                let volume = try await driver.volume()
                try await volume.attachIt()
                try volume.makeDirectories()
                try await driver.expect(.failedPrecondition, of: volume.publish)
                try await driver.expect(
                    .failedPrecondition, of: volume.publish.changing { $0.stagingTargetPath = "" }, "without a path")
                try require(!Disk.exists(volume.target), "the target path was made")
                return "nothing was made"
            },
            Check("the target path: made, removed, and files beside it left alone") { driver in
                let volume = try await driver.volume()
                try volume.makeDirectories()
                let beside = "\(volume.directory)/pod/beside"
                try Payload(seed: 2).write(to: beside)
                try Disk.makeDirectory(volume.target)
                try await volume.up()
                try await volume.down()
                try require(!Disk.exists(volume.target), "the target path is left")
                try Payload(seed: 2).check(beside, "beside the target path")
                try await driver.expect(.ok, of: volume.unpublish, "again")
                return "one that was there already was taken too"
            },
            Check("what is mounted at the target by others is not touched", core: false) { driver in
                let (one, other) = (try await driver.volume(), try await driver.volume())
                try await one.up()
                try await other.attachIt()
                try await other.stageIt()
                let wrong = other.publish.changing { $0.targetPath = one.target }
                try await driver.expect(.failedPrecondition, .alreadyExists, .invalidArgument, of: wrong)
                let away = other.unpublish.changing { $0.targetPath = one.target }
                try await driver.expect(.failedPrecondition, .notFound, .invalidArgument, .ok, of: away)
                try require(try Disk.mount(at: one.target) != nil, "another volume's mount was taken down")
                return "refused"
            },
            Check("a staged volume is not deleted", needs: [.stage]) { driver in
                let volume = try await driver.volume()
                try await volume.up()
                try Payload(seed: 4).write(to: volume.payload)
                if driver.offers(.attach) { try await driver.expect(.ok, .failedPrecondition, of: volume.detachment) }
                try await driver.expect(.failedPrecondition, of: volume.deletion)
                try Payload(seed: 4).check(volume.payload, "after DeleteVolume")
                return "FAILED_PRECONDITION, unharmed"
            },
        ])

    static func canWrite(_ path: String) -> Bool {
        (try? Payload(seed: 6, mebibytes: 1).write(to: path)) != nil
    }
}
