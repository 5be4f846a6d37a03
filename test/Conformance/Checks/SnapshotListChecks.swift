import CSIProto
import GRPCCore
import SwiftProtobuf

/// ListSnapshots: filters and pages.
enum SnapshotListChecks {
    static let topic = Topic(
        "Lists of snapshots",
        [
            Check("by snapshot, by volume, by neither", needs: [.snapshots, .controller(.listSnapshots)]) { driver in
                let volumes = [try await driver.volume(), try await driver.volume()]
                var made: [Csi_V1_Snapshot] = []
                for volume in [volumes[0], volumes[0], volumes[1]] {
                    made.append(try await SnapshotChecks.ready(volume))
                }
                for snapshot in made {
                    let seen = try await driver.snapshots(.with { $0.snapshotID = snapshot.snapshotID })
                    try requireEqual(seen, [snapshot], "by snapshot_id")
                }
                for volume in volumes {
                    let seen = try await driver.snapshots(.with { $0.sourceVolumeID = volume.id }).map(\.snapshotID)
                    let wanted = made.filter { $0.sourceVolumeID == volume.id }.map(\.snapshotID)
                    try requireEqual(Set(seen), Set(wanted), "by source_volume_id")
                }
                let all = Set(try await driver.snapshots().map(\.snapshotID))
                try require(all.isSuperset(of: made.map(\.snapshotID)), "one is missing in the whole list")
                return "3 snapshots of 2 volumes"
            },
            Check("of what is not there: an empty list", needs: [.snapshots, .controller(.listSnapshots)]) { driver in
                let volume = try await driver.volume()
                let snapshot = try await SnapshotChecks.ready(volume)
                let requests: [Csi_V1_ListSnapshotsRequest] = [
                    .with { $0.snapshotID = "no-such-snapshot" }, .with { $0.sourceVolumeID = "no-such-volume" },
                    .with { $0.snapshotID = volume.id }, .with { $0.sourceVolumeID = snapshot.snapshotID },
                    .with { ($0.snapshotID, $0.sourceVolumeID) = (snapshot.snapshotID, "no-such-volume") },
                ]
                for (index, request) in requests.enumerated() {
                    try requireEqual(try await driver.snapshots(request).count, 0, "entries of request \(index)")
                }
                return "\(requests.count) requests"
            },
            Check("each once, in pages of any size", needs: [.snapshots, .controller(.listSnapshots)]) { driver in
                let volume = try await driver.volume()
                let ids = try await (0..<4).map { _ in () }.asyncMap { try await volume.snapshotIt().snapshotID }
                for size: Int32 in [1, 2, 3, .max] {
                    for source in ["", volume.id] {
                        let seen = try await driver.snapshots(
                            .with { ($0.maxEntries, $0.sourceVolumeID) = (size, source) }
                        ).map(\.snapshotID)
                        try requireEqual(Set(seen).count, seen.count, "different ids in pages of \(size)")
                        try require(Set(seen).isSuperset(of: ids), "pages of \(size): one is missing")
                    }
                }
                let page = try await driver.send(Csi_V1_ListSnapshotsRequest.with { $0.maxEntries = 2 })
                try require(page.entries.count == 2 && !page.nextToken.isEmpty, "a page of 2 of at least 4")
                return "4 sizes of pages, filtered and not"
            },
            Check("pages stay right while snapshots come and go", needs: [.snapshots, .controller(.listSnapshots)]) {
                driver in
                let volume = try await driver.volume()
                let ids = try await (0..<4).map { _ in () }.asyncMap { try await volume.snapshotIt().snapshotID }
                var request = Csi_V1_ListSnapshotsRequest.with { $0.maxEntries = 1 }
                var seen: [String] = []
                repeat {
                    let page = try await driver.send(request)
                    seen += page.entries.map(\.snapshot.snapshotID)
                    request.startingToken = page.nextToken
                    if let last = seen.last, seen.count == 1 || seen.count == 3 {
                        guard ids.contains(last) else { continue }
                        try await driver.send(Csi_V1_DeleteSnapshotRequest.with { $0.snapshotID = last })
                        _ = try await volume.snapshotIt()
                    }
                } while !request.startingToken.isEmpty
                try requireEqual(Set(seen).count, seen.count, "different ids")
                try require(Set(seen).isSuperset(of: ids), "one that was there all the time is missing")
                return "\(seen.count) ids"
            },
            Check("a token that was never given is ABORTED", needs: [.controller(.listSnapshots)]) { driver in
                for token in ["no-such-token", "-1", "99999999999999999999", "\u{1F4BE}"] {
                    try await driver.expect(
                        .aborted, of: Csi_V1_ListSnapshotsRequest.with { $0.startingToken = token }, token)
                }
                return "4 tokens"
            },
            Check("snapshots are no volumes, and volumes no snapshots", needs: [.snapshots, .list]) { driver in
                let volume = try await driver.volume()
                let snapshot = try await volume.snapshotIt()
                let listed = try await driver.volumes().map(\.volume.volumeID)
                try require(listed.contains(volume.id), "the volume is not listed")
                try require(!listed.contains(snapshot.snapshotID), "ListVolumes lists a snapshot")
                return "ListVolumes has the volume only"
            },
        ])
}
