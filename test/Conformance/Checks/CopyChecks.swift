import CSIProto
import GRPCCore
import SwiftProtobuf

/// Restores and clones: independent, and of the size that was asked for.
enum CopyChecks {
    static let topic = Topic(
        "Restores and clones",
        [
            Check("a clone is independent of its source", needs: [.clones]) { driver in
                let volume = try await SnapshotChecks.written(driver, Payload(seed: 61))
                let clone = try await driver.copy(of: .volume(volume.id), volume.capability)
                try requireEqual(clone.answer.contentSource, Source.volume(volume.id).message, "content_source")
                try await SnapshotChecks.content(clone, Payload(seed: 61), "the clone")
                try await volume.up()
                try require(!Disk.exists("\(volume.target)/more"), "the source sees what the clone's pod wrote")
                try Payload(seed: 62).write(to: volume.payload)
                try await volume.down()
                try await SnapshotChecks.content(clone, Payload(seed: 61), "the clone after the source has changed")
                try await driver.send(volume.deletion)
                try await SnapshotChecks.content(clone, Payload(seed: 61), "the clone without its source")
                return "content, writes and deletion"
            },
            Check("both mounted at the same time", needs: [.clones]) { driver in
                for type in try driver.filesystems() {
                    let volume = try await SnapshotChecks.written(driver, Payload(seed: 63), .mount(type))
                    let clone = try await driver.copy(of: .volume(volume.id), .mount(type))
                    try await volume.up()
                    try await clone.up()
                    try Payload(seed: 63).check(volume.payload, "\(type), the source")
                    try Payload(seed: 63).check(clone.payload, "\(type), the clone")
                    try await clone.down()
                    try await volume.down()
                }
                return driver.settings.filesystems.joined(separator: ", ")
            },
            Check("a restore larger than its source", needs: [.snapshots]) { driver in
                try await larger(driver) { volume in
                    .snapshot(try await SnapshotChecks.ready(volume).snapshotID)
                }
            },
            Check("a clone larger than its source", needs: [.clones]) { driver in
                try await larger(driver) { .volume($0.id) }
            },
            Check("a copy smaller than its source is refused", needs: [.snapshots]) { driver in
                let volume = try await driver.volume(size: driver.settings.size * 2)
                let snapshot = try await SnapshotChecks.ready(volume)
                let request = driver.creation(size: 1).changing {
                    $0.capacityRange.limitBytes = volume.size / 2
                    $0.volumeContentSource.snapshot.snapshotID = snapshot.snapshotID
                }
                return try await name(driver.expect(.outOfRange, .invalidArgument, of: request))
            },
            Check("a copy without a range is as large as its source", needs: [.snapshots]) { driver in
                let volume = try await driver.volume(size: driver.settings.size * 2)
                let snapshot = try await SnapshotChecks.ready(volume)
                let request = driver.creation().changing {
                    $0.clearCapacityRange()
                    $0.volumeContentSource.snapshot.snapshotID = snapshot.snapshotID
                }
                let copy = try await driver.create(request)
                try requireEqual(copy.size, volume.size, "capacity_bytes")
                return mebibytes(copy.size)
            },
            Check("another file system than the source has is refused", needs: [.clones, .stage], core: false) {
                driver in
                guard let other = driver.settings.filesystems.dropFirst().first else { return "there is only one" }
                let volume = try await SnapshotChecks.written(
                    driver, Payload(seed: 64), .mount(driver.capability.mount.fsType))
                let request = driver.creation("other", .mount(other)).changing {
                    $0.volumeContentSource = Source.volume(volume.id).message
                }
                let outcome = try await driver.expect(.ok, .invalidArgument, of: request)
                guard outcome == .ok else { return "INVALID_ARGUMENT at its creation" }
                let copy = try await driver.create(request)
                try await copy.attachIt()
                try copy.makeDirectories()
                try await driver.expect(.failedPrecondition, .invalidArgument, of: copy.stage)
                return "FAILED_PRECONDITION at NodeStageVolume"
            },
        ])

    /// Really larger: the volume, and the file system on it, as large as that of a new volume.
    private static func larger(
        _ driver: Driver, _ source: (Volume) async throws -> Source
    ) async throws -> String {
        var notes: [String] = []
        for type in try driver.filesystems(growing: true) {
            let volume = try await SnapshotChecks.written(driver, Payload(seed: 65), .mount(type))
            let size = volume.size * 2
            let request = driver.creation("larger", .mount(type), size: size)
            let copied = request.changing { [source = try await source(volume)] in
                $0.volumeContentSource = source.message
            }
            let outcome = try await driver.expect(.ok, .outOfRange, of: copied)
            guard outcome == .ok else { return "OUT_OF_RANGE" }
            let copy = try await driver.create(copied)
            let fresh = try await driver.create(request.changing { $0.name = driver.name() })
            try await copy.up()
            try await fresh.up()
            let (seen, wanted) = (try Disk.fileSystem(copy.target).size, try Disk.fileSystem(fresh.target).size)
            try require(seen > wanted * 9 / 10, "\(type): a file system of \(seen) bytes, a new one has \(wanted)")
            try Payload(seed: 65).check(copy.payload, type)
            let amount = Int((copy.size - volume.size) / MiB)
            try Payload(seed: 66, mebibytes: amount).write(to: "\(copy.target)/more")
            notes.append("\(type) \(mebibytes(volume.size)) to \(mebibytes(copy.size))")
            _ = await driver.undo()
        }
        return notes.joined(separator: ", ")
    }
}
