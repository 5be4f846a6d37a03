package import DeviceManager
import Logging
import SPDK

/// One store in which a volume could be made.
struct StoreRoom: Sendable {
    let target: SPDKTarget
    let store: LogicalVolumeStore
    /// Bytes for one more volume, with what is promised to thin ones taken off.
    let available: UInt64
}

// Room: what is free, without what thin volumes may still take.
extension SPDKPool {
    /// The stores of one node that the parameters allow. `isSole`: for whoever holds `making`.
    func rooms(
        _ target: SPDKTarget, _ parameters: LvolParameters, isSole: Bool = false, besides uuid: String? = nil
    ) async throws -> [StoreRoom] {
        guard parameters.node == nil || parameters.node == target.node.name,
            !parameters.isGuarded || target.node.type != .iscsi
        else { return [] }
        let stores = try await target.stores()
        let promises = try await promises(target, stores, isSole: isSole)
        let kept = state(target.node).keptRoom(besides: uuid)
        return stores.filter { parameters.store == nil || parameters.store == $0.name }.map { store in
            let left = Double(store.free) - Double(kept[store.name] ?? 0)
            let extra = Double(store.total) * (target.node.overcommit - 1)
            let free = left + extra - Double(promises[store.name] ?? 0)
            let most = parameters.provisioning == .thick ? min(free, left) : free
            return StoreRoom(
                target: target, store: store,
                available: UInt64(max(0, min(most, 9e18))) / store.clusterSize * store.clusterSize)
        }
    }

    /// For whoever holds `making` and has made nothing yet: whatever goes wrong, another store can be tried. Of those who
    /// wait for a node that does not answer, only the first one waits for its answer too.
    func roomsNow(
        _ target: SPDKTarget, _ parameters: LvolParameters, besides uuid: String? = nil
    ) async throws -> [StoreRoom] {
        let (node, begin) = (state(target.node), ContinuousClock.now)
        if let failure = node.recentFailure { throw SPDKError(.notSent, failure.message) }
        do {
            let rooms = try await rooms(target, parameters, isSole: true, besides: uuid)
            node.note(nil, since: begin)
            return rooms
        } catch let error as SPDKError {
            node.note(error, since: begin)
            throw SPDKError(.notSent, error.message)
        }
    }

    private func promises(
        _ target: SPDKTarget, _ stores: [LogicalVolumeStore], isSole: Bool
    ) async throws -> [String: UInt64] {
        let known = state(target.node).promises(isSole: isSole), begin = ContinuousClock.now
        if let bytes = known.bytes { return bytes }
        let promises = Self.promises(try await target.volumes(in: stores), stores)
        state(target.node).note(promises: promises, change: known.change, since: begin)
        return promises
    }

    /// What thin volumes may still write, by store. Before 24.05 SPDK does not tell what a volume has taken: then what
    /// is used and belongs to no thick volume is counted as theirs, and one with a snapshot may write all of it anew.
    static func promises(_ volumes: [LogicalVolume], _ stores: [LogicalVolumeStore]) -> [String: UInt64] {
        var promises: [String: UInt64] = [:]
        for store in stores {
            let here = volumes.filter { $0.store == store.name }
            let thin = here.filter { $0.isThin && !$0.isSnapshot }
            guard thin.contains(where: { $0.allocated == nil }) else {
                promises[store.name] = thin.reduce(0) { $0 + ($1.size - min($1.size, $1.allocated ?? 0)) }
                continue
            }
            let fresh = thin.filter { $0.base == nil }.reduce(UInt64(0)) { $0 + $1.size }
            let copies = thin.filter { $0.base != nil }.reduce(UInt64(0)) { $0 + $1.size }
            let others = here.filter { !$0.isThin || $0.isSnapshot }.reduce(UInt64(0)) { $0 + $1.size }
            let used = store.total - min(store.total, store.free)
            let taken = used - min(used, others)
            promises[store.name] = copies + fresh - min(fresh, taken)
        }
        return promises
    }

    package func capacity(
        for parameters: VolumeParameters, segments: [String: String]?
    ) async throws -> Capacity {
        let wanted = parameters.lvol ?? LvolParameters()
        var (capacity, failure, answered) = (Capacity(), (any Error)?.none, 0)
        for (node, answer) in await everywhere({ try await self.rooms($0, wanted) }) {
            switch answer {
            case .success(let rooms):
                answered += 1
                for room in rooms {
                    capacity.available = capacity.available.addingReportingOverflow(room.available).partialValue
                    capacity.total = capacity.total.addingReportingOverflow(room.store.total).partialValue
                    capacity.maximumVolumeSize = max(capacity.maximumVolumeSize, room.available)
                    let least = capacity.minimumVolumeSize
                    capacity.minimumVolumeSize =
                        least == 0 ? room.store.clusterSize : min(least, room.store.clusterSize)
                }
            case .failure(let error):
                failure = error
                logger.warning(
                    "the room of a storage node is not known",
                    metadata: ["node": "\(node.name)", "error": "\(error)"])
            }
        }
        if answered == 0, let failure { throw failure }
        return capacity
    }

    /// Where a volume could be made: those that fit first, by room in powers of two, and by a hash of the name within
    /// those, so that a repeated call meets the same store first.
    func ranked(_ rooms: [StoreRoom], name: String, size: UInt64) -> [StoreRoom] {
        var ranked: [(room: StoreRoom, power: Int, hash: String)] = []
        for room in rooms where room.available >= size {
            let place = "\(name)\u{1}\(room.target.node.name)\u{1}\(room.store.name)"
            let power = UInt64.bitWidth - room.available.leadingZeroBitCount
            ranked.append((room: room, power: power, hash: VolumeID.hash(place, digits: 16)))
        }
        ranked.sort { left, right in
            if left.power != right.power { return left.power > right.power }
            return left.hash < right.hash
        }
        return ranked.map(\.room)
    }
}
