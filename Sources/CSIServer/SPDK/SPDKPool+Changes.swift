import CSIProto
package import DeviceManager
import SPDK
import Synchronization

// Growing, limiting, giving to nodes, deleting.
extension SPDKPool {
    package func expand(_ id: VolumeID, to size: SizeRange) async throws -> VolumeRecord {
        var found = try await volume(orThrow: id)
        try size.checkLimit(for: id, of: found.volume.size)
        if found.volume.size < size.required { found = try await grow(found, to: size) }
        await exportAgain(found)
        return record(found, subsystem: nil)
    }

    func grow(_ found: Found, to size: SizeRange) async throws -> Found {
        let (target, volume, node) = (found.target, found.volume, state(found.target.node))
        let bytes = try await keepRoom(for: found, size)
        do {
            if volume.base != nil, try await !target.allowsSmallerBase() { try await separate(found) }
            try await target.resize(volume.uuid, mebibytes: bytes >> 20)
        } catch let error as SPDKError where !error.isAmbiguous {
            node.giveRoomBack(of: volume.uuid)
            throw error
        }
        if volume.isThin { node.promise(bytes - volume.size, in: volume.store) }
        node.giveRoomBack(of: volume.uuid)
        guard let grown = try await target.volume(volume.uuid), grown.size >= size.required else {
            throw SPDKError(.lost, "storage node \(target.node.name): volume \(volume.uuid) did not grow")
        }
        return Found(target: target, volume: grown)
    }

    /// Answers the size that there is room for now, and that nobody else takes.
    private func keepRoom(for found: Found, _ size: SizeRange) async throws -> UInt64 {
        let (target, volume) = (found.target, found.volume)
        var wanted = LvolParameters()
        try wanted.apply(["provisioning": volume.isThin ? "thin" : "thick", "lvstore": volume.store])
        return try await state(target.node).making.withLock {
            guard let room = try await roomsNow(target, wanted, besides: volume.uuid).first else {
                throw RequestError(
                    .unavailable,
                    "storage node \(target.node.name): lvstore \(volume.store) is not there, or not in use")
            }
            let bytes = try size.size(multipleOf: room.store.clusterSize)
            guard bytes - volume.size <= room.available else {
                throw RequestError(
                    .resourceExhausted,
                    "volume \(target.node.name):\(volume.uuid) needs \(bytes - volume.size) bytes more, and its store has "
                        + "\(room.available)")
            }
            state(target.node).keepRoom(bytes - volume.size, in: volume.store, for: volume.uuid)
            return bytes
        }
    }

    /// Leaves the volume without a base.
    private func separate(_ found: Found) async throws {
        let (target, uuid) = (found.target, found.volume.uuid)
        var base = found.volume.base
        while let last = base {
            try await slowly(target, "copying to \(uuid)") { try await target.decouple(uuid) }
            base = try await target.volume(uuid)?.base
            guard base != last else {
                throw SPDKError(.lost, "storage node \(target.node.name): volume \(uuid) is still based on \(last)")
            }
            await prune(target, store: found.volume.store, base: last)
        }
    }

    /// For what may take the node's proxy minutes, during which nobody waits for the node who can do without it. SPDK's own
    /// socket answers others meanwhile.
    func slowly(_ target: SPDKTarget, _ words: String, _ work: () async throws -> Void) async throws {
        guard !target.node.rpc.isLocal else { return try await work() }
        try await state(target.node).working("storage node \(target.node.name) is busy with \(words)", work)
    }

    package func modify(_ id: VolumeID, _ changes: MutableParameters) async throws {
        let found = try await volume(orThrow: id)
        var wanted = LvolParameters()
        try wanted.apply(changes.values)
        var limits = try await limitAgain(found.volume, on: found.target)
        limits.values = limits.values.filter { LvolParameters.limitKeys.contains($0.key) }
        limits.values.merge(wanted.limits) { $1 }
        try await found.target.limit(found.volume.uuid, to: RateLimits(wanted.limits))
        remember(found.volume.uuid, limits)
        await exportAgain(found)
    }

    package func delete(_ id: VolumeID) async throws {
        guard let found = try await find(id), !found.volume.isSnapshot else { return try await deleteExport(id) }
        let (target, volume) = (found.target, found.volume)
        if target.node.type != .iscsi, let subsystem = try await target.subsystem(volume.uuid) {
            guard subsystem.hosts.isEmpty else { throw inUse(id, subsystem) }
        }
        try await target.unexport(volume.uuid)
        forget(volume.uuid)
        try await slowly(target, "erasing \(volume.uuid)") { try await target.delete(volume.uuid) }
        state(target.node).giveRoomBack(of: volume.uuid)
        state(target.node).forgetPromises()
        await prune(target, store: volume.store, base: volume.base)
    }

    private func inUse(_ id: VolumeID, _ subsystem: Subsystem) -> RequestError {
        let names = subsystem.hosts.map { host in memory.withLock { $0.hosts[host.nqn] } ?? host.nqn }
        return RequestError(
            .failedPrecondition,
            "volume \(id) is published to \(names.sorted().joined(separator: ", ")); unpublish it first")
    }

    /// Of a volume that is gone: a deletion that was cut off before may have left its export.
    private func deleteExport(_ id: VolumeID) async throws {
        let parts = id.rawValue.split(separator: ":")
        guard parts.count == 2, let name = parts.first, let node = configuration.current?.node(String(name)),
            try await find(id) == nil
        else { return }
        try await target(node).unexport(Self.uuid(id))
        forget(Self.uuid(id))
    }
}
