package import DeviceManager
import FoundationEssentials
import SPDK

// Snapshots, and volumes made from them or from other volumes: all on the storage node of the source.
extension SPDKPool {
    func copy(
        _ source: VolumeRecord.Source, _ request: CreateRequest, _ wanted: LvolParameters
    ) async throws -> Found {
        let (kind, isSnapshot) = if case .snapshot = source { ("snapshot", true) } else { ("volume", false) }
        guard let id = volumeID(source.id), let original = try await find(id),
            original.volume.isSnapshot == isSnapshot, VolumeName(original.volume.name) != .hidden
        else { throw RequestError(.notFound, "\(kind) \"\(source.id)\" does not exist") }
        guard original.volume.size <= request.size.limit ?? .max else {
            throw DeviceError(
                .outOfRange,
                "capacity_range: limit_bytes \(request.size.limit ?? 0) is below the \(original.volume.size) bytes of "
                    + "\(kind) \(source.id)")
        }
        try checkPlace(of: original, wanted)
        let target = original.target
        let name = VolumeName.copy(
            request.name, isGuarded: wanted.isGuarded, of: original.volume.uuid, isSnapshot: isSnapshot)
        let node = state(target.node)
        let uuid = try await node.making.withLock {
            let known: LogicalVolume? =
                if isSnapshot { original.volume } else { try await hidden(of: original, for: request.name) }
            let size = try await checkRoom(for: original, request, wanted, isShared: known != nil)
            let base = if let known { known } else { try await self.base(of: original, for: request.name) }
            let uuid = try await attempt(request.name, on: target.node.name) {
                try await target.clone(base.uuid, named: name)
            }
            node.promise(original.volume.size, in: original.volume.store)
            node.keepRoom(size - original.volume.size, in: original.volume.store, for: uuid)
            return uuid
        }
        guard let volume = try await target.volume(uuid) else {
            throw SPDKError(.lost, "storage node \(target.node.name): volume \(uuid) is gone as soon as it was made")
        }
        state(target.node).remember(volume)
        return Found(target: target, volume: volume)
    }

    /// Before anything is made: a copy may write all that it has anew, and so may its source as soon as it shares its
    /// blocks. Answers the size that the copy is to have.
    private func checkRoom(
        for original: Found, _ request: CreateRequest, _ wanted: LvolParameters, isShared: Bool
    ) async throws -> UInt64 {
        let (target, volume) = (original.target, original.volume)
        var place = LvolParameters()
        try place.apply(["lvstore": volume.store, "provisioning": wanted.provisioning.rawValue])
        guard let room = try await roomsNow(target, place).first else {
            throw RequestError(
                .unavailable, "storage node \(target.node.name): lvstore \(volume.store) is not there, or not in use")
        }
        let larger = request.size.required > volume.size
        let size = larger ? try request.size.size(multipleOf: room.store.clusterSize) : volume.size
        var needed = size
        if !isShared {
            let own = try await target.volume(volume.uuid, clusterSize: room.store.clusterSize)?.allocated
            needed += min(own ?? volume.size, volume.size)
        }
        guard needed <= room.available else {
            throw RequestError(
                .resourceExhausted,
                "volume \"\(request.name)\": \(needed) bytes are needed beside its source, and lvstore \(volume.store) of "
                    + "storage node \(target.node.name) has \(room.available), with what thin volumes may still take "
                    + "left out")
        }
        return size
    }

    /// A copy begins thin. One that is to be thick takes its blocks now, or with the next call where this one is cut off.
    func thickened(_ found: Found, _ request: CreateRequest, _ wanted: LvolParameters) async throws -> Found {
        let (target, volume) = (found.target, found.volume)
        guard wanted.provisioning == .thick, volume.isThin, case .copy = VolumeName(volume.name),
            hasSource(found, request.source)
        else { return found }
        try await slowly(target, "copying to \(volume.uuid)") { try await target.inflate(volume.uuid) }
        state(target.node).forgetPromises()
        await prune(target, store: volume.store, base: volume.base)
        guard let thick = try await target.volume(volume.uuid), !thick.isThin else {
            throw SPDKError(.lost, "storage node \(target.node.name): volume \(volume.uuid) did not become thick")
        }
        return Found(target: target, volume: thick)
    }

    private func checkPlace(of original: Found, _ wanted: LvolParameters) throws {
        let node = original.target.node
        guard wanted.node.map({ $0 == node.name }) ?? true, wanted.store.map({ $0 == original.volume.store }) ?? true
        else {
            throw RequestError(
                .invalidArgument,
                "parameters: a copy is made where its source is: node \(node.name), lvstore \(original.volume.store)")
        }
        guard !wanted.isGuarded || node.type != .iscsi else {
            throw RequestError(
                .invalidArgument, "parameters: access is \"host\", and storage node \(node.name) exports by iSCSI")
        }
    }

    /// The snapshot below a clone of a volume, which nobody sees; it goes when only one volume needs it.
    private func base(of original: Found, for name: String) async throws -> LogicalVolume {
        let target = original.target
        // From now on the source may write all of its blocks anew.
        defer { state(target.node).forgetPromises() }
        do {
            let uuid = try await target.snapshot(original.volume.uuid, named: VolumeName.base(of: name))
            if let base = try await target.volume(uuid) { return base }
        } catch {
            guard error.refusal == .exists else { throw error }
            if let base = try await hidden(of: original, for: name) { return base }
        }
        throw RequestError(.aborted, "volume \(original.volume.uuid) is being copied by another call; try again")
    }

    private func hidden(of original: Found, for name: String) async throws -> LogicalVolume? {
        let found = try await original.target.volume("\(original.volume.store)/\(VolumeName.base(of: name))")
        return found?.isSnapshot == true ? found : nil
    }

    /// Removes snapshots that nobody sees once at most one volume needs them, upwards.
    func prune(_ target: SPDKTarget, store: String, base: String?) async {
        var name = base
        while let hidden = name, VolumeName(hidden) == .hidden {
            guard let snapshot = try? await target.volume("\(store)/\(hidden)"), snapshot.isSnapshot,
                snapshot.clones.count <= 1, (try? await target.delete(snapshot.uuid)) != nil
            else { return }
            name = snapshot.base
        }
    }
}

// Snapshots as CSI knows them.
extension SPDKPool {
    package func createSnapshot(_ request: SnapshotRequest) async throws -> VolumeRecord {
        let record = try await makeSnapshot(request)
        answered(request.name)
        return record
    }

    private func makeSnapshot(_ request: SnapshotRequest) async throws -> VolumeRecord {
        let existing = try await existing(request.name, isWanted: VolumeName.isSnapshot)
        if let existing {
            let record = snapshotRecord(existing, sourceID: try await source(of: existing))
            guard let source = record.source.flatMap({ volumeID($0.id) }).map(Self.uuid),
                source == volumeID(request.volume).map(Self.uuid)
            else {
                throw RequestError(
                    .alreadyExists, "snapshot \"\(request.name)\" exists as \(record.id), of another volume")
            }
            return named(record, request.volume)
        }
        guard let id = volumeID(request.volume) else {
            throw RequestError(.notFound, "volume \"\(request.volume)\" does not exist")
        }
        let original = try await volume(orThrow: id)
        await exportAgain(original)
        let target = original.target
        let name = VolumeName.snapshot(
            request.name, of: original.volume.uuid, at: UInt64(max(0, Date().timeIntervalSince1970)))
        let uuid = try await attempt(request.name, on: target.node.name) {
            try await target.snapshot(original.volume.uuid, named: name)
        }
        guard let snapshot = try await target.volume(uuid) else {
            throw SPDKError(.lost, "storage node \(target.node.name): snapshot \(uuid) is gone as soon as it was made")
        }
        state(target.node).remember(snapshot)
        // From now on the volume may write all of its blocks anew.
        state(target.node).forgetPromises()
        return snapshotRecord(Found(target: target, volume: snapshot), sourceID: request.volume)
    }

    private func named(_ record: VolumeRecord, _ volume: String) -> VolumeRecord {
        var record = record
        record.source = .volume(volume)
        return record
    }

    /// Of a snapshot of spdk-csi: the volume below it that is no copy. Nil where the name says it.
    private func source(of found: Found) async throws -> String? {
        guard case .plain = VolumeName(found.volume.name) else { return nil }
        for clone in found.volume.clones {
            guard case .plain = VolumeName(clone),
                let volume = try await found.target.volume("\(found.volume.store)/\(clone)"), !volume.isSnapshot
            else { continue }
            return Self.id(found.target.node.name, volume.uuid)
        }
        return nil
    }

    package func deleteSnapshot(_ id: VolumeID) async throws {
        guard let found = try await find(id), found.volume.isSnapshot, VolumeName(found.volume.name) != .hidden else {
            return
        }
        let (target, snapshot) = (found.target, found.volume)
        defer { state(target.node).forgetPromises() }
        // With one, SPDK gives it the blocks; more would have to share them.
        guard snapshot.clones.count < 2 else { throw inUse(id, snapshot.clones) }
        do {
            try await slowly(target, "erasing \(snapshot.uuid)") { try await target.delete(snapshot.uuid) }
        } catch let error as SPDKError where error.refusal == .notPermitted {
            throw inUse(id, ["one made just now"])
        }
    }

    private func inUse(_ id: VolumeID, _ volumes: [String]) -> RequestError {
        RequestError(
            .failedPrecondition,
            "snapshot \(id): the logical volumes \(volumes.sorted().joined(separator: ", ")) need its blocks, and SPDK can "
                + "delete it when only one does; delete what was restored from it first")
    }

    package func snapshot(_ id: VolumeID) async throws -> VolumeRecord? {
        guard let found = try await find(id), found.volume.isSnapshot, VolumeName(found.volume.name) != .hidden else {
            return nil
        }
        return snapshotRecord(found, sourceID: try await source(of: found))
    }

    package func snapshots(
        source: String?, after id: VolumeID?, limit: Int
    ) async throws -> (volumes: [VolumeRecord], hasMore: Bool) {
        let all = try await lists { target in
            let stores = try await target.stores()
            var records: [VolumeRecord] = []
            for snapshot in try await target.volumes(in: stores)
            where snapshot.isSnapshot && VolumeName(snapshot.name) != .hidden {
                let found = Found(target: target, volume: snapshot)
                records.append(self.snapshotRecord(found, sourceID: try await self.source(of: found)))
            }
            return records
        }
        let wanted = source.flatMap { volumeID($0) }.map(Self.uuid)
        let fitting = all.filter { record in
            source == nil || record.source.flatMap { volumeID($0.id) }.map(Self.uuid) == wanted && wanted != nil
        }
        return fitting.page(after: id, limit: limit)
    }
}
