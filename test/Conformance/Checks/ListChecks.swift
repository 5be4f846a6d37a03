import CSIProto
import GRPCCore
import SwiftProtobuf

/// ListVolumes in pages, and ControllerGetVolume.
enum ListChecks {
    static let topic = Topic(
        "Lists of volumes",
        [
            Check("every volume once, in pages of any size", needs: [.list]) { driver in
                let ids = try await five(driver).map(\.id)
                for size: Int32 in [0, 1, 2, 3, 5, 1000, .max] {
                    let seen = try await driver.volumes(size).map(\.volume.volumeID)
                    try requireEqual(Set(seen).count, seen.count, "different ids in pages of \(size)")
                    try require(Set(seen).isSuperset(of: ids), "pages of \(size): one of ours is missing")
                }
                return "7 sizes of pages"
            },
            Check("max_entries is kept to, next_token given while more is left", needs: [.list]) { driver in
                _ = try await five(driver)
                let page = try await driver.send(Csi_V1_ListVolumesRequest.with { $0.maxEntries = 2 })
                try requireEqual(page.entries.count, 2, "entries")
                try require(!page.nextToken.isEmpty, "no next_token")
                return "2 of 5"
            },
            Check("pages stay right while volumes come and go", needs: [.list]) { driver in
                let volumes = try await five(driver)
                var request = Csi_V1_ListVolumesRequest.with { $0.maxEntries = 1 }
                var seen: [String] = []
                var isFirst = true
                repeat {
                    let page = try await driver.send(request)
                    seen += page.entries.map(\.volume.volumeID)
                    request.startingToken = page.nextToken
                    // What was listed goes, and so does the place that the token may stand for.
                    if isFirst || seen.count == 3, let gone = volumes.first(where: { seen.last == $0.id }) {
                        try await driver.send(gone.deletion)
                        _ = try await driver.volume("later")
                        isFirst = false
                    }
                } while !request.startingToken.isEmpty
                try requireEqual(Set(seen).count, seen.count, "different ids")
                try require(Set(seen).isSuperset(of: volumes.map(\.id)), "one that was there all the time is missing")
                return "\(seen.count) ids"
            },
            Check("a token that was never given is ABORTED", needs: [.list]) { driver in
                _ = try await driver.volume()
                for token in ["no-such-token", "-1", "99999999999999999999", "\u{1F4BE}"] {
                    try await driver.expect(
                        .aborted, of: Csi_V1_ListVolumesRequest.with { $0.startingToken = token }, token)
                }
                return "4 tokens"
            },
            Check("an entry is what CreateVolume answered", needs: [.list]) { driver in
                let volume = try await driver.volume()
                try requireEqual(try await driver.entry(volume.id)?.volume, volume.answer, "the entry")
                return volume.id
            },
            Check("ControllerGetVolume is what CreateVolume answered", needs: [.getVolume]) { driver in
                let volume = try await driver.volume()
                let answer = try await driver.send(Csi_V1_ControllerGetVolumeRequest.with { $0.volumeID = volume.id })
                try requireEqual(answer.volume, volume.answer, "the volume")
                return volume.id
            },
            Check("published_node_ids", needs: [.attach, .controller(.listVolumesPublishedNodes), .list]) { driver in
                let volume = try await driver.volume()
                try requireEqual(try await nodes(volume), [], "before")
                try await volume.attachIt()
                try requireEqual(try await nodes(volume), [driver.facts.node.nodeID], "while published")
                try await driver.send(volume.detachment)
                try requireEqual(try await nodes(volume), [], "afterwards")
                return driver.facts.node.nodeID
            },
        ])

    private static func five(_ driver: Driver) async throws -> [Volume] {
        try await (0..<5).map { _ in () }.asyncMap { try await driver.volume("listed") }
    }

    /// By both calls, which must agree.
    private static func nodes(_ volume: Volume) async throws -> [String] {
        let listed = try await volume.driver.entry(volume.id)?.status.publishedNodeIds ?? ["not listed"]
        guard volume.driver.offers(.getVolume) else { return listed }
        let request = Csi_V1_ControllerGetVolumeRequest.with { $0.volumeID = volume.id }
        let answer = try await volume.driver.send(request)
        try requireEqual(answer.status.publishedNodeIds, listed, "ControllerGetVolume and ListVolumes")
        return listed
    }
}
