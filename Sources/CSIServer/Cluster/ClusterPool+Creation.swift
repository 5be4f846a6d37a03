import CSIProto
package import DeviceManager
import GRPCCore
import Logging
import Registry
import SwiftProtobuf

// Creation: one name becomes one volume, on whatever node.
extension ClusterPool {
    /// How many nodes are tried that had too little room when they last told.
    private static let hopeless = 3

    package func create(_ request: CreateRequest) async throws -> VolumeRecord {
        if let existing = index.volumes(named: request.name).first { return try await repeated(request, existing) }
        if let node = state.creation(request.name) {
            return try await resumed(request, node)
        }
        let candidates = try candidates(for: request)
        var refusals: [NodeError] = []
        for node in candidates {
            do {
                return try await create(request, on: node)
            } catch let error as NodeError where error.isRefusal {
                logger.info(
                    "a node does not take a volume", metadata: ["node": "\(node.id)", "error": "\(error)"])
                refusals.append(error)
            }
        }
        throw nobody(request, refusals)
    }

    /// There is one of this name: its node knows whether it is what is asked for.
    private func repeated(_ request: CreateRequest, _ existing: IndexedVolume) async throws -> VolumeRecord {
        let node = try present(existing.id)
        return try await passOn(request, to: node)
    }

    /// A node was asked before, and nobody knows what came of that: only that node may be asked again.
    private func resumed(_ request: CreateRequest, _ node: String) async throws -> VolumeRecord {
        guard let node = registry.node(node), node.isRegistered else {
            throw RequestError(
                .unavailable,
                "node \(node) was asked to make volume \"\(request.name)\" and did not answer; it is not registered now"
            )
        }
        do {
            return try await create(request, on: node)
        } catch let error as NodeError where error.isRefusal && error.outcome != .notSent {
            // Now it is certain that there is none. The others have their turn.
            return try await create(request)
        }
    }

    private func create(_ request: CreateRequest, on node: NodeRegistry.Node) async throws -> VolumeRecord {
        let wasOpen = state.creation(request.name) != nil
        try await blockingDevice { [state] in try state.begin(request.name, on: node.id) }
        do {
            let volume = try await passOn(request, to: node)
            state.end(request.name)
            return volume
        } catch let error as NodeError {
            // What was open before is not settled by a call that did not reach the node.
            if error.isFinal && !(wasOpen && error.outcome == .notSent) { state.end(request.name) }
            throw error
        }
    }

    private func passOn(_ request: CreateRequest, to node: NodeRegistry.Node) async throws -> VolumeRecord {
        let answer = try await nodes.call(node) { client, options in
            try await client.createVolume(request.message, options: options)
        }
        guard var volume = IndexedVolume(answer.volume, node: node.id, defaults: defaultParameters) else {
            throw NodeError(
                .open(isLate: false), "node \(node.id) answered with the id \"\(answer.volume.volumeID)\"")
        }
        volume.isPublished = index.entry(volume.id)?.isPublished ?? false
        index.put(volume)
        return volume.record
    }

    private func nobody(_ request: CreateRequest, _ refusals: [NodeError]) -> any Error {
        guard let last = refusals.last else {
            return RequestError(.unavailable, "no node is registered that could take volume \"\(request.name)\"")
        }
        // Without an answer of every node there may be room.
        if let silent = refusals.first(where: { $0.outcome == .notSent }) { return silent }
        return last
    }
}

// Where: as the topology says, otherwise where most room is.
extension ClusterPool {
    private func candidates(for request: CreateRequest) throws -> [NodeRegistry.Node] {
        if let source = request.source {
            guard let id = VolumeID(source.id) else {
                throw RequestError(.notFound, "volume_content_source \"\(source.id)\" does not exist")
            }
            // A copy is made where its source is.
            return [try present(id)]
        }
        let topology = request.topology
        let requisite = topology.requisite.compactMap { Topology.node($0, key: topologyKey) }
        let preferred = topology.preferred.compactMap { Topology.node($0, key: topologyKey) }
        var names: [String] = []
        for name in preferred where topology.requisite.isEmpty || requisite.contains(name) { names.append(name) }
        for name in requisite where !names.contains(name) { names.append(name) }
        let named = names.compactMap { registry.node($0) }.filter(\.isRegistered)
        guard topology.requisite.isEmpty else {
            guard !named.isEmpty else { throw nowhere(request, requisite) }
            return named
        }
        let others = registry.all.filter { node in node.isRegistered && !names.contains(node.id) }
        return named + byRoom(others, request)
    }

    private func nowhere(_ request: CreateRequest, _ nodes: [String]) -> RequestError {
        guard !nodes.isEmpty else {
            return RequestError(
                .resourceExhausted,
                "volume \"\(request.name)\": accessibility_requirements name no place with the key \(topologyKey)")
        }
        return RequestError(
            .unavailable,
            "volume \"\(request.name)\": none of the nodes that accessibility_requirements name is registered: "
                + nodes.prefix(10).joined(separator: ", "))
    }

    /// Most room first, but only in powers of two, and by a hash within those: a repeated call must meet the same node
    /// first although the volume that an earlier one made there has taken its room.
    private func byRoom(_ nodes: [NodeRegistry.Node], _ request: CreateRequest) -> [NodeRegistry.Node] {
        let ranked = nodes.map { node -> (node: NodeRegistry.Node, fits: Bool, room: Int, hash: String) in
            let capacity = index.capacity(node.id) ?? Capacity()
            let room = UInt64.bitWidth - capacity.available.leadingZeroBitCount
            return (
                node, capacity.maximumVolumeSize >= request.size.required, room,
                VolumeID.hash("\(request.name)\u{1}\(node.id)", digits: 16)
            )
        }.sorted { left, right in
            if left.fits != right.fits { return left.fits }
            return left.room != right.room ? left.room > right.room : left.hash < right.hash
        }
        let fitting = ranked.filter(\.fits).map(\.node)
        return fitting + ranked.filter { !$0.fits }.prefix(Self.hopeless).map(\.node)
    }
}

extension NodeError {
    /// Nothing came of the call, and another node may do better.
    fileprivate var isRefusal: Bool {
        switch outcome {
        case .notSent: true
        case .answered(let code): code == .resourceExhausted
        case .open: false
        }
    }

    /// Nothing is open: whatever comes next may be on another node.
    fileprivate var isFinal: Bool {
        switch outcome {
        case .notSent: true
        case .answered(let code): code != .aborted
        case .open: false
        }
    }
}
