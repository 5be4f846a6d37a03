import FoundationEssentials
import Glibc
import SPDK

/// A logical volume store of a `StandIn`.
package struct Store: Sendable {
    package let name: String
    let uuid = UUID().uuidString.lowercased()
    package let clusterSize: UInt64
    package let clusters: UInt64

    package init(_ name: String, size: UInt64, clusterSize: UInt64 = 4 << 20) {
        self.name = name
        self.clusterSize = clusterSize
        clusters = size / clusterSize
    }
}

/// A logical volume or snapshot of a `StandIn`.
package struct Lvol: Sendable {
    package var uuid: String
    package let store: String
    package var name: String
    package var size: UInt64
    package var isThin: Bool
    package var isSnapshot = false
    package var base: String?
    package var limits: [String: UInt64] = [:]

    package init(
        uuid: String = UUID().uuidString.lowercased(), store: String, name: String, size: UInt64, isThin: Bool,
        base: String? = nil
    ) {
        self.uuid = uuid
        self.store = store
        self.name = name
        self.size = size
        self.isThin = isThin
        self.base = base
    }
}

extension StandIn {
    func call(_ method: String, _ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        switch method {
        case "spdk_get_version": return ["version": "stand-in", "fields": ["major": 24, "minor": 1]]
        case "bdev_lvol_get_lvstores":
            try parameters.expectNone()
            return .array(state.stores.map { description($0, state) })
        case "bdev_wait_for_examine":
            try parameters.expectNone()
            state.lvols += state.unopened
            state.unopened = []
            return true
        case "bdev_lvol_get_lvols": return .array(state.lvols.map(line))
        case "bdev_get_bdevs":
            guard let name = parameters.optionalText("name") else {
                return .array(state.lvols.map { device($0, state) })
            }
            return .array([device(state.lvols[try index(name, state)], state)])
        case "bdev_lvol_create": return try create(parameters, &state)
        case "bdev_lvol_resize": return try resize(parameters, &state)
        case "bdev_lvol_delete": return try delete(parameters, &state)
        case "bdev_lvol_snapshot": return try snapshot(parameters, &state)
        case "bdev_lvol_clone": return try clone(parameters, &state)
        case "bdev_lvol_decouple_parent":
            let index = try index(try parameters.text("name"), state)
            guard let base = state.lvols[index].base else { throw StandInError(-22, "Invalid argument") }
            state.lvols[index].base =
                state.lvols.first { $0.store == state.lvols[index].store && $0.name == base }?.base
            return true
        case "bdev_lvol_inflate":
            let index = try index(try parameters.text("name"), state)
            (state.lvols[index].base, state.lvols[index].isThin) = (nil, false)
            return true
        case "bdev_set_qos_limit":
            let index = try index(try parameters.text("name"), state)
            for key in RateLimits.keys {
                if let value = parameters.number(key) { state.lvols[index].limits[key] = UInt64(value) }
            }
            return true
        default: return try export(method, parameters, &state)
        }
    }

    func index(_ name: String, _ state: State) throws -> Int {
        let index = state.lvols.firstIndex { $0.uuid == name || "\($0.store)/\($0.name)" == name }
        guard let index else { throw StandInError.noDevice }
        return index
    }

    private func description(_ store: Store, _ state: State) -> JSONNode {
        [
            "uuid": .string(store.uuid), "name": .string(store.name), "base_bdev": "Malloc0",
            "total_data_clusters": .integer(Int(store.clusters)), "free_clusters": .integer(Int(free(store, state))),
            "block_size": 512, "cluster_size": .integer(Int(store.clusterSize)),
        ]
    }

    /// Thin ones take nothing here: nobody writes to them.
    private func free(_ store: Store, _ state: State) -> UInt64 {
        let taken = state.lvols.filter { $0.store == store.name && !$0.isThin }.reduce(0) { $0 + $1.size }
        return store.clusters - min(store.clusters, taken / store.clusterSize)
    }

    private func line(_ lvol: Lvol) -> JSONNode {
        [
            "alias": .string("\(lvol.store)/\(lvol.name)"), "uuid": .string(lvol.uuid), "name": .string(lvol.name),
            "is_thin_provisioned": .bool(lvol.isThin), "is_snapshot": .bool(lvol.isSnapshot),
            "is_clone": .bool(lvol.base != nil), "lvs": ["name": .string(lvol.store), "uuid": "x"],
        ]
    }

    private func device(_ lvol: Lvol, _ state: State) -> JSONNode {
        var details: [String: JSONNode] = [
            "thin_provision": .bool(lvol.isThin), "snapshot": .bool(lvol.isSnapshot), "clone": .bool(lvol.base != nil),
        ]
        if let base = lvol.base { details["base_snapshot"] = .string(base) }
        if lvol.isSnapshot {
            details["clones"] = .array(clones(lvol, state).map { .string($0.name) })
        }
        return [
            "name": .string(lvol.uuid), "aliases": [.string("\(lvol.store)/\(lvol.name)")],
            "product_name": "Logical Volume", "uuid": .string(lvol.uuid), "block_size": 512,
            "num_blocks": .integer(Int(lvol.size / 512)),
            "assigned_rate_limits": .object(
                Dictionary(
                    uniqueKeysWithValues: RateLimits.keys.map { ($0, .integer(Int(lvol.limits[$0] ?? 0))) })),
            "driver_specific": ["lvol": .object(details)],
        ]
    }

    private func clones(_ snapshot: Lvol, _ state: State) -> [Lvol] {
        state.lvols.filter { $0.store == snapshot.store && $0.base == snapshot.name }
    }

    private func size(_ parameters: Parameters, _ store: Store) throws -> UInt64 {
        let (bytes, mebibytes) = (parameters.number("size"), parameters.number("size_in_mib"))
        let size: Int? =
            switch sizeKey {
            case .bytes: mebibytes == nil ? bytes : nil
            case .mebibytes: bytes == nil ? mebibytes.map { $0 << 20 } : nil
            case .both: bytes == nil || mebibytes == nil ? bytes ?? mebibytes.map { $0 << 20 } : nil
            }
        guard let size, size > 0 else { throw StandInError.decoding }
        return (UInt64(size) + store.clusterSize - 1) / store.clusterSize * store.clusterSize
    }

    private func store(_ name: String, _ state: State) throws -> Store {
        guard let store = state.stores.first(where: { $0.name == name }) else { throw StandInError.noDevice }
        return store
    }

    private func create(_ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        let store = try store(try parameters.text("lvs_name"), state), name = try parameters.text("lvol_name")
        guard !state.lvols.contains(where: { $0.store == store.name && $0.name == name }) else {
            throw StandInError(-17, "File exists")
        }
        guard name.utf8.count < 64 else { throw StandInError(-22, "Invalid argument") }
        let lvol = Lvol(
            store: store.name, name: name, size: try size(parameters, store),
            isThin: parameters.bool("thin_provision") ?? false)
        guard lvol.isThin || lvol.size / store.clusterSize <= free(store, state) else {
            throw StandInError(-32602, "No space left on device")
        }
        try exporter?.make(lvol)
        state.lvols.append(lvol)
        return .string(lvol.uuid)
    }

    private func resize(_ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        let index = try index(try parameters.text("name"), state), store = try store(state.lvols[index].store, state)
        let size = try size(parameters, store), old = state.lvols[index].size
        // As before 24.05, where what is behind the end of the base cannot be read: here it is refused.
        guard state.lvols[index].base == nil else { throw StandInError(-32602, "Invalid argument") }
        guard state.lvols[index].isThin || size <= old || (size - old) / store.clusterSize <= free(store, state) else {
            throw StandInError(-32602, "No space left on device")
        }
        try exporter?.resize(state.lvols[index].uuid, size: size)
        state.lvols[index].size = size
        return true
    }

    private func delete(_ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        let index = try index(try parameters.text("name"), state), lvol = state.lvols[index]
        let clones = lvol.isSnapshot ? clones(lvol, state) : []
        guard clones.count < 2 else { throw StandInError(-32603, "Operation not permitted") }
        for other in state.lvols.indices where lvol.isSnapshot && state.lvols[other].base == lvol.name {
            state.lvols[other].base = lvol.base
        }
        state.lvols.remove(at: index)
        try exporter?.remove(lvol.uuid)
        return true
    }

    private func snapshot(_ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        guard exporter == nil else { throw StandInError.unknownMethod }
        let index = try index(try parameters.text("lvol_name"), state), name = try parameters.text("snapshot_name")
        var snapshot = state.lvols[index]
        guard !state.lvols.contains(where: { $0.store == snapshot.store && $0.name == name }) else {
            throw StandInError(-32602, "File exists")
        }
        snapshot.uuid = UUID().uuidString.lowercased()
        snapshot.name = name
        snapshot.isSnapshot = true
        state.lvols[index].base = name
        state.lvols[index].isThin = true
        state.lvols.append(snapshot)
        return .string(snapshot.uuid)
    }

    private func clone(_ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        guard exporter == nil else { throw StandInError.unknownMethod }
        let source = state.lvols[try index(try parameters.text("snapshot_name"), state)]
        let name = try parameters.text("clone_name")
        guard source.isSnapshot else { throw StandInError(-32602, "Invalid argument") }
        guard !state.lvols.contains(where: { $0.store == source.store && $0.name == name }) else {
            throw StandInError(-32602, "File exists")
        }
        let lvol = Lvol(store: source.store, name: name, size: source.size, isThin: true, base: source.name)
        state.lvols.append(lvol)
        return .string(lvol.uuid)
    }
}
