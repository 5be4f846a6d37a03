import CSIProto
import GRPCCore
import SwiftProtobuf

/// Calls about what is not there: NOT_FOUND where something is wanted of it, OK where it was to go away.
enum MissingChecks {
    static let topic = Topic(
        "What does not exist",
        [
            Check("a volume that was deleted") { driver in
                let volume = try await driver.volume()
                try volume.makeDirectories()
                try await driver.send(volume.deletion)
                return try await absent(volume)
            },
            Check("ids that no driver gives out") { driver in
                for id in [
                    "no-such-volume", "../../etc", "a/b", "%s%n", "\u{1F4BE}", String(repeating: "x", count: 128),
                ] {
                    let volume = Volume(driver: driver, request: driver.creation(), answer: .with { $0.volumeID = id })
                    try volume.makeDirectories()
                    _ = try await absent(volume)
                }
                return "6 ids"
            },
            Check("a snapshot that was deleted, and ids of none", needs: [.snapshots]) { driver in
                let volume = try await driver.volume()
                let snapshot = try await volume.snapshotIt()
                let deletion = Csi_V1_DeleteSnapshotRequest.with { $0.snapshotID = snapshot.snapshotID }
                try await driver.send(deletion)
                for id in [snapshot.snapshotID, "no-such-snapshot", volume.id] {
                    try await driver.expect(.ok, of: deletion.changing { $0.snapshotID = id }, id)
                    let restore = driver.creation().changing { $0.volumeContentSource.snapshot.snapshotID = id }
                    try await driver.expect(.notFound, of: restore, "from \(id)")
                    guard driver.offers(.controller(.getSnapshot)) else { continue }
                    try await driver.expect(.notFound, of: Csi_V1_GetSnapshotRequest.with { $0.snapshotID = id }, id)
                }
                try await driver.expect(.ok, of: volume.validation, "of the volume, which must be unharmed")
                return "deleted again: OK; restored: NOT_FOUND"
            },
            Check("a volume source that is not there, or is a snapshot", needs: [.clones]) { driver in
                let volume = try await driver.volume()
                var ids = ["no-such-volume"]
                if driver.offers(.snapshots) { ids.append(try await volume.snapshotIt().snapshotID) }
                for id in ids {
                    let clone = driver.creation().changing { $0.volumeContentSource.volume.volumeID = id }
                    try await driver.expect(.notFound, of: clone, "from \(id)")
                }
                return ids.joined(separator: ", ")
            },
            Check("a snapshot's id is no volume's", needs: [.snapshots]) { driver in
                let volume = try await driver.volume()
                let snapshot = try await volume.snapshotIt()
                let confused = Volume(
                    driver: driver, request: volume.request, answer: .with { $0.volumeID = snapshot.snapshotID })
                try confused.makeDirectories()
                _ = try await absent(confused)
                let there = try await driver.copy(of: .snapshot(snapshot.snapshotID))
                return "DeleteVolume with it left it alone: \(there.size) bytes restored"
            },
        ])

    /// Every call about a volume that does not exist.
    private static func absent(_ volume: Volume) async throws -> String {
        let missing: [(Outcome, any Call)] = [
            (.notFound, volume.attachment), (.notFound, volume.validation), (.notFound, volume.stage),
            (.notFound, volume.publish), (.notFound, volume.stats), (.notFound, volume.expansion(to: 32 * MiB)),
            (.notFound, volume.nodeExpansion(to: 32 * MiB)), (.notFound, volume.snapshot("conformance-of-nothing")),
            (.notFound, Csi_V1_ControllerGetVolumeRequest.with { $0.volumeID = volume.id }),
            (
                .notFound,
                Csi_V1_ControllerModifyVolumeRequest.with {
                    ($0.volumeID, $0.mutableParameters) = (volume.id, volume.driver.settings.mutable)
                }
            ),
            (.ok, volume.detachment), (.ok, volume.unpublish), (.ok, volume.unstage), (.ok, volume.deletion),
        ]
        let offered = missing.filter { RefusalChecks.isOffered($0.1, volume.driver) }
        try await forEach(offered.map { ("", $0) }) { wanted, call in
            // Whether an unknown volume is unpublished from a node is a matter of taste: both are allowed.
            let isNode = call is Csi_V1_NodeUnpublishVolumeRequest || call is Csi_V1_NodeUnstageVolumeRequest
            try await volume.driver.expect(isNode ? [.ok, .notFound] : [wanted], of: call, "of \(volume.id)")
        }
        return "\(offered.count) calls"
    }
}
