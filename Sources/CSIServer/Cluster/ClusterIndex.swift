import DeviceManager
import Synchronization

/// The volumes and snapshots of all nodes that ever registered, as the nodes told, and how much room each has.
///
/// Memory only, owned by `ClusterPool`. What a call of this controller changed is entered at once; a list that was read
/// meanwhile is out of date for those volumes, which its `Stamp` shows.
final class ClusterIndex: Sendable {
    /// Taken before a node's volumes are read; they may be entered while it holds.
    struct Stamp: Sendable {
        fileprivate let node: String
        fileprivate let changes: UInt64
    }

    fileprivate struct Node {
        let hash: String
        var ids: Set<VolumeID> = []
        var capacity = Capacity()
        /// Changes by calls of this controller, and which of them each volume had last; as long as a list that is being
        /// read may be older.
        var changes: UInt64 = 0
        var touched: [VolumeID: UInt64] = [:]
    }

    fileprivate struct State {
        var nodes: [String: Node] = [:]
        var nodesByHash: [String: String] = [:]
        var entries: [VolumeID: IndexedVolume] = [:]
        var order: [VolumeID] = []
        var isSorted = true
        /// The ids that a name has on several nodes, by what they have in common.
        var namesakes: [String: [VolumeID]] = [:]
        /// Names of volumes whose ids do not follow from them.
        var foreignNames: [String: VolumeID] = [:]
    }

    private let state = Mutex(State())

    func entry(_ id: VolumeID) -> IndexedVolume? { state.withLock { $0.entries[id] } }

    /// The node that an id names, or of which it is known.
    func node(of id: VolumeID) -> String? {
        state.withLock { state in
            guard let hash = id.nodeHash else { return state.entries[id]?.node }
            return state.nodesByHash[hash]
        }
    }

    /// The node with the hash of this one that is not this one.
    func twin(of node: String) -> String? {
        let hash = VolumeID.nodeHash(node)
        return state.withLock { state in state.nodesByHash[hash].flatMap { $0 == node ? nil : $0 } }
    }

    func capacity(_ node: String) -> Capacity? { state.withLock { $0.nodes[node]?.capacity } }

    func counts(_ node: String) -> (volumes: Int, snapshots: Int) {
        state.withLock { state in
            let ids = state.nodes[node]?.ids ?? []
            let snapshots = ids.count { state.entries[$0]?.kind == .snapshot }
            return (ids.count - snapshots, snapshots)
        }
    }

    /// The volumes of this name, on whatever nodes: one, unless something went wrong.
    func volumes(named name: String) -> [IndexedVolume] {
        state.withLock { state in
            let ids = state.namesakes[VolumeID.stem(name: name)] ?? []
            let found = (ids + [state.foreignNames[name]].compactMap(\.self)).compactMap { state.entries[$0] }
            return found.sorted { $0.id < $1.id }
        }
    }

    func snapshots(named name: String) -> [IndexedVolume] {
        state.withLock { state in
            (state.namesakes[VolumeID.stem(snapshot: name)] ?? []).compactMap { state.entries[$0] }
        }
    }

    /// Those after `id`, in the order of the ids, that fit; one more than `limit` where there are more (0: all).
    func page(after id: VolumeID?, limit: Int, where fits: (IndexedVolume) -> Bool) -> [IndexedVolume] {
        state.withLock { state in
            if !state.isSorted {
                state.order = state.entries.keys.sorted()
                state.isSorted = true
            }
            let start = id.map { Self.place(after: $0, in: state.order) } ?? 0
            var found: [IndexedVolume] = []
            for id in state.order[start...] {
                guard let entry = state.entries[id], fits(entry) else { continue }
                found.append(entry)
                if limit > 0 && found.count > limit { break }
            }
            return found
        }
    }

    private static func place(after id: VolumeID, in order: [VolumeID]) -> Int {
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if order[middle] <= id { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

// Changes.
extension ClusterIndex {
    func stamp(_ node: String) -> Stamp {
        Stamp(node: node, changes: state.withLock { $0.nodes[node]?.changes ?? 0 })
    }

    /// What the node has, in place of what was known, but for what changed since the stamp was taken.
    ///
    /// Returns the ids that share their name with one on another node.
    func replace(_ stamp: Stamp, with volumes: [IndexedVolume], capacity: Capacity) -> [[VolumeID]] {
        let hash = VolumeID.nodeHash(stamp.node)
        return state.withLock { state in
            var node = state.nodes[stamp.node] ?? Node(hash: hash)
            node.touched = node.touched.filter { $0.value > stamp.changes }
            let listed = volumes.filter { node.touched[$0.id] == nil }
            let kept = node.ids.filter { node.touched[$0] != nil }
            let ids = kept.union(listed.map(\.id))
            for id in node.ids.subtracting(ids) { state.drop(id) }
            node.ids = ids
            node.capacity = capacity
            state.nodes[stamp.node] = node
            state.nodesByHash[hash] = stamp.node
            for volume in listed { state.enter(volume) }
            return listed.compactMap { $0.id.stem.flatMap { state.namesakes[$0] } }.filter { $0.count > 1 }
        }
    }

    func put(_ volume: IndexedVolume) {
        state.withLock { state in
            state.nodes[volume.node]?.ids.insert(volume.id)
            state.touch(volume.id, on: volume.node)
            state.enter(volume)
        }
    }

    func update(_ id: VolumeID, _ change: (inout IndexedVolume) -> Void) {
        state.withLock { state in
            guard var entry = state.entries[id] else { return }
            change(&entry)
            state.touch(id, on: entry.node)
            state.entries[id] = entry
        }
    }

    func remove(_ id: VolumeID) {
        state.withLock { state in
            // Also where it is not known yet: a list may be on its way that has it.
            if let node = state.entries[id]?.node ?? id.nodeHash.flatMap({ state.nodesByHash[$0] }) {
                state.nodes[node]?.ids.remove(id)
                state.touch(id, on: node)
            }
            state.drop(id)
        }
    }

    /// Returns how many volumes and snapshots were dropped with it.
    func forget(_ node: String) -> Int {
        state.withLock { state in
            guard let gone = state.nodes.removeValue(forKey: node) else { return 0 }
            state.nodesByHash[gone.hash] = nil
            for id in gone.ids { state.drop(id) }
            return gone.ids.count
        }
    }
}

extension ClusterIndex.State {
    fileprivate mutating func touch(_ id: VolumeID, on node: String) {
        guard var entry = nodes.removeValue(forKey: node) else { return }
        entry.changes += 1
        entry.touched[id] = entry.changes
        nodes[node] = entry
    }

    fileprivate mutating func enter(_ volume: IndexedVolume) {
        if entries.updateValue(volume, forKey: volume.id) == nil {
            if let stem = volume.id.stem { namesakes[stem, default: []].append(volume.id) }
            if isSorted, order.last ?? volume.id <= volume.id { order.append(volume.id) } else { isSorted = false }
        }
        if volume.id.nodeHash == nil && !volume.name.isEmpty { foreignNames[volume.name] = volume.id }
    }

    fileprivate mutating func drop(_ id: VolumeID) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        isSorted = false
        if let stem = id.stem, let others = namesakes[stem]?.filter({ $0 != id }) {
            namesakes[stem] = others.isEmpty ? nil : others
        }
        if foreignNames[entry.name] == id { foreignNames[entry.name] = nil }
    }
}
