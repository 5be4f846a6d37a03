import CSIProto
import GRPCCore
import SwiftProtobuf

// What must not be there when a check has ended; and that the driver still is.

/// A driver that went away during a check.
enum Ended: CustomStringConvertible {
    case forGood, andRestarted

    var description: String {
        self == .forGood ? "the driver has ended; nothing more is run" : "the driver had ended and was started again"
    }
}

extension Driver {
    /// The ids of all volumes and snapshots, as far as the driver lists them.
    func listed() async throws -> Set<String> {
        var ids: Set<String> = []
        if offers(.list) { ids.formUnion(try await volumes().map(\.volume.volumeID)) }
        if offers(.controller(.listSnapshots)) { ids.formUnion(try await snapshots().map(\.snapshotID)) }
        return ids
    }

    func volumes(_ pageSize: Int32 = 0) async throws -> [Csi_V1_ListVolumesResponse.Entry] {
        var entries: [Csi_V1_ListVolumesResponse.Entry] = []
        var request = Csi_V1_ListVolumesRequest.with { $0.maxEntries = pageSize }
        repeat {
            let page = try await send(request)
            entries += page.entries
            request.startingToken = page.nextToken
        } while !request.startingToken.isEmpty
        return entries
    }

    func snapshots(_ request: Csi_V1_ListSnapshotsRequest = .init()) async throws -> [Csi_V1_Snapshot] {
        var snapshots: [Csi_V1_Snapshot] = []
        var request = request
        repeat {
            let page = try await send(request)
            snapshots += page.entries.map(\.snapshot)
            request.startingToken = page.nextToken
        } while !request.startingToken.isEmpty
        return snapshots
    }

    func entry(_ id: String) async throws -> Csi_V1_ListVolumesResponse.Entry? {
        try await volumes().first { $0.volume.volumeID == id }
    }

    /// Nil where it answers; whoever keeps it running has ten seconds to start it again.
    func ended() async -> Ended? {
        for attempt in 0..<50 {
            do {
                try await client.send(Csi_V1_ProbeRequest())
                return attempt == 0 ? nil : .andRestarted
            } catch {
                guard (error as? RPCError)?.code == .unavailable else { return nil }
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
        return .forGood
    }

    /// Volumes and snapshots that were not there before, mounts and files below the work directory.
    func leftovers(since before: Set<String>) async -> [String] {
        var problems: [String] = []
        do {
            let more = try await listed().subtracting(before)
            if !more.isEmpty { problems.append("left behind: \(more.sorted().joined(separator: ", "))") }
            let mounts = try Disk.mounts(below: settings.work)
            if !mounts.isEmpty {
                problems.append("still mounted: \(mounts.map(\.point).joined(separator: ", "))")
                for mount in mounts.reversed() { Disk.unmount(mount.point) }
            }
            try Disk.remove(settings.work)
            try Disk.makeDirectory(settings.work)
        } catch {
            problems.append("afterwards: \(describe(error))")
        }
        return problems
    }
}
