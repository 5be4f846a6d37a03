import CSIProto
import GRPCCore
import SwiftProtobuf

/// Snapshots: what they say, and that they hold the moment of the cut whatever happens to the volume.
enum SnapshotChecks {
    static let topic = Topic(
        "Snapshots",
        [
            Check("the same again is the same snapshot, another source is refused", needs: [.snapshots]) { driver in
                let (volume, other) = (try await driver.volume(), try await driver.volume())
                let snapshot = try await volume.snapshotIt("conformance-same")
                try requireEqual(try await volume.snapshotIt("conformance-same"), snapshot, "the answer")
                try requireEqual(snapshot.sourceVolumeID, volume.id, "source_volume_id")
                try require(snapshot.sizeBytes == 0 || snapshot.sizeBytes >= volume.size, "\(snapshot.sizeBytes) bytes")
                try await driver.expect(.alreadyExists, of: other.snapshot("conformance-same"))
                return "\(snapshot.snapshotID), ready: \(snapshot.readyToUse)"
            },
            Check("GetSnapshot is what CreateSnapshot answered", needs: [.snapshots, .controller(.getSnapshot)]) {
                driver in
                let volume = try await driver.volume()
                let snapshot = try await ready(volume)
                let answer = try await driver.send(
                    Csi_V1_GetSnapshotRequest.with { $0.snapshotID = snapshot.snapshotID })
                try requireEqual(answer.snapshot, snapshot, "the snapshot")
                return snapshot.snapshotID
            },
            Check("a restore holds the moment of the cut", needs: [.snapshots]) { driver in
                try await cut(driver, isMounted: false)
            },
            Check("the same while the volume is mounted", needs: [.snapshots, .mountedSnapshot]) { driver in
                try await cut(driver, isMounted: true)
            },
            Check("they live without their volume, and it without them", needs: [.snapshots]) { driver in
                let volume = try await written(driver, Payload(seed: 41))
                let (first, second) = (try await ready(volume), try await ready(volume))
                try await driver.send(Csi_V1_DeleteSnapshotRequest.with { $0.snapshotID = first.snapshotID })
                try await content(volume, Payload(seed: 41), "the volume without its first snapshot")
                let outcome = try await driver.outcome(volume.deletion)
                guard outcome == .ok else {
                    try requireEqual(outcome, .failedPrecondition, "DeleteVolume with a snapshot")
                    try await content(volume, Payload(seed: 41), "the volume after the refusal")
                    return "FAILED_PRECONDITION, unharmed"
                }
                let restored = try await driver.copy(of: .snapshot(second.snapshotID), volume.capability)
                try await content(restored, Payload(seed: 41), "restored without the source")
                try await driver.send(Csi_V1_DeleteSnapshotRequest.with { $0.snapshotID = second.snapshotID })
                try await content(restored, Payload(seed: 41), "restored, without the snapshot")
                return "deleted source first, then the snapshot"
            },
            Check("several, one after the other", needs: [.snapshots], core: false) { driver in
                let volume = try await driver.volume()
                var snapshots: [Csi_V1_Snapshot] = []
                for seed in 50..<53 as Range<UInt64> {
                    try await volume.up()
                    try Payload(seed: seed).write(to: volume.payload)
                    try await volume.down()
                    snapshots.append(try await ready(volume))
                }
                for (index, snapshot) in snapshots.enumerated().reversed() {
                    let restored = try await driver.copy(of: .snapshot(snapshot.snapshotID))
                    try await content(restored, Payload(seed: 50 + UInt64(index)), "number \(index)")
                }
                return "3"
            },
            Check("of a volume that was never mounted", needs: [.snapshots]) { driver in
                let snapshot = try await ready(try await driver.volume())
                let restored = try await driver.copy(of: .snapshot(snapshot.snapshotID))
                try await restored.up()
                try Payload(seed: 44).write(to: restored.payload)
                try await restored.down()
                return "the restore can be mounted and written"
            },
            Check("of a block volume", needs: [.snapshots, .block]) { driver in
                let volume = try await driver.volume("block", .block())
                try await volume.up()
                try Payload(seed: 45).write(to: volume.target)
                try await volume.down()
                let snapshot = try await ready(volume)
                let restored = try await driver.copy(of: .snapshot(snapshot.snapshotID), .block())
                try await content(restored, Payload(seed: 45), "the restored device")
                return mebibytes(restored.size)
            },
        ])

    /// Old content, a snapshot, new content: the restore has the old, the volume the new, and neither sees the other.
    private static func cut(_ driver: Driver, isMounted: Bool) async throws -> String {
        let (old, new) = (Payload(seed: 42), Payload(seed: 43))
        let volume = try await written(driver, old)
        if isMounted {
            try await volume.up()
            try old.check(volume.payload, "mounted")
        }
        let snapshot = try await ready(volume)
        if !isMounted { try await volume.up() }
        try new.write(to: volume.payload)
        try await volume.down()
        let restored = try await driver.copy(of: .snapshot(snapshot.snapshotID), volume.capability)
        try requireEqual(restored.answer.contentSource, Source.snapshot(snapshot.snapshotID).message, "content_source")
        try await content(restored, old, "the restore")
        try await content(volume, new, "the volume")
        let second = try await driver.copy(of: .snapshot(snapshot.snapshotID), volume.capability)
        try await content(second, old, "a second restore, after the first was written to")
        return "old content in the restore, new in the volume"
    }

    static func written(_ driver: Driver, _ payload: Payload, _ capability: Capability? = nil) async throws -> Volume {
        let volume = try await driver.volume("source", capability)
        try await volume.up()
        try payload.write(to: volume.payload)
        try await volume.down()
        return volume
    }

    /// The volume must hold it; afterwards it holds something more.
    static func content(_ volume: Volume, _ payload: Payload, _ what: String) async throws {
        try await volume.up()
        try payload.check(volume.payload, what)
        if !volume.capability.isBlock { try Payload(seed: 99).write(to: "\(volume.target)/more") }
        try await volume.down()
    }

    /// A snapshot that can be restored from.
    static func ready(_ volume: Volume) async throws -> Csi_V1_Snapshot {
        let request = volume.snapshot(volume.driver.name("snapshot"))
        let end = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < end {
            let snapshot = try await volume.driver.send(request).snapshot
            if snapshot.readyToUse { return snapshot }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw Failure("snapshot \(request.name) is not ready to use after a minute")
    }
}
