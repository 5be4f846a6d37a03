import CSIProto
package import DeviceManager
import GRPCCore
package import Logging
package import Registry
import SwiftProtobuf

/// The volumes of all nodes, for a controller: every call that needs a node is passed on to it, and what the nodes told
/// of their volumes answers the rest.
///
/// The truth is with the nodes. Several controllers may run at once, and each may lose all that it knows: the nodes
/// register with all of them.
package final class ClusterPool: VolumePool {
    let registry: NodeRegistry
    let nodes: NodeCaller
    let state: ControllerState
    let index = ClusterIndex()
    let topologyKey: String
    let logger: Logger
    private let driverName: String
    package let defaultParameters: VolumeParameters
    package let canExpand: Bool
    package let canSnapshot: Bool

    /// `manager` is a device manager as the nodes have it, which says what volumes can do; it is not started.
    package init(
        registry: NodeRegistry, nodes: NodeCaller, state: ControllerState, driverName: String,
        manager: any DeviceManager, logger: Logger
    ) {
        self.registry = registry
        self.nodes = nodes
        self.state = state
        self.driverName = driverName
        self.logger = logger
        topologyKey = Topology.key(driverName: driverName)
        defaultParameters = manager.defaultParameters
        canExpand = manager is any Expanding
        canSnapshot = manager is any Snapshotting
    }

    package var readiness: Readiness { .ready }

    package func topology(of record: VolumeRecord) -> Topology? {
        let node = VolumeID(record.id).flatMap { index.node(of: $0) }
        return Topology(driverName: driverName, node: node ?? record.location ?? "")
    }

    package func key(forName name: String) -> String { "volume named \(name)" }

    package func key(forSnapshot name: String) -> String { "snapshot named \(name)" }
}

// Which node is asked.
extension ClusterPool {
    enum Owner {
        case node(NodeRegistry.Node)
        /// It is known, or the id names one that is not; it may come back.
        case away(String)
        case forgotten
    }

    func owner(of id: VolumeID) -> Owner {
        if let node = index.node(of: id).flatMap({ registry.node($0) }) {
            return node.isRegistered ? .node(node) : .away("node \(node.id)")
        }
        guard let hash = id.nodeHash else {
            // One of pmem-csi says nothing of its node, and no node that was here has it.
            return .away("a node that is not registered")
        }
        return state.isForgotten(hash) ? .forgotten : .away("the node with the hash \(hash)")
    }

    /// The node that has the volume, or would have it.
    func present(_ id: VolumeID) throws(RequestError) -> NodeRegistry.Node {
        switch owner(of: id) {
        case .node(let node): return node
        case .forgotten: throw RequestError(.notFound, "volume \(id) was on a node that was given up")
        case .away(let node): throw away(id, node)
        }
    }

    func away(_ id: VolumeID, _ node: String) -> RequestError {
        RequestError(
            .unavailable,
            "volume \(id) belongs to \(node), which is not registered; bring it back, or give it up with csictl node forget"
        )
    }
}

// What the nodes tell.
extension ClusterPool {
    private static let pageSize: Int32 = 1000

    /// For `RegistryService`: the volumes, snapshots and room of a node that registers.
    package func read(_ node: NodeRegistry.Node, known: NodeRegistry.Node?) async throws {
        if let twin = index.twin(of: node.id) {
            throw RequestError(
                .alreadyExists, "node \(node.id) has the same hash as \(twin), which ids depend on; rename one of them")
        }
        let stamp = index.stamp(node.id)
        let (volumes, capacity) = try await nodes.call(node, timeout: .seconds(30)) { client, options in
            (try await contents(of: node.id, client, options), try await room(client, options))
        }
        for namesakes in index.replace(stamp, with: volumes, capacity: capacity) { report(namesakes) }
        // Whoever comes back was not gone for good.
        if state.isForgotten(VolumeID.nodeHash(node.id)) {
            state.remember(node.id)
            logger.warning("a node that was given up is back, and so are its volumes", metadata: ["node": "\(node.id)"])
        }
    }

    /// A creation that met its name on one node only, while the other was away: both hold somebody's data, perhaps.
    private func report(_ ids: [VolumeID]) {
        let places = ids.map { "\($0) on \(index.node(of: $0) ?? "?")" }.joined(separator: ", ")
        logger.error(
            "one name has volumes on several nodes; keep the one that is in use and delete the others",
            metadata: ["volumes": "\(places)"])
    }

    private func contents(
        of node: String, _ client: NodeCaller.Client, _ options: CallOptions
    ) async throws -> [IndexedVolume] {
        var found: [IndexedVolume] = []
        var request = Csi_V1_ListVolumesRequest.with { $0.maxEntries = Self.pageSize }
        repeat {
            let page = try await client.listVolumes(request, options: options)
            for entry in page.entries {
                try check(entry.volume, isOn: node)
                let published = entry.status.publishedNodeIds
                guard
                    let volume = IndexedVolume(
                        entry.volume, published: published, node: node, defaults: defaultParameters)
                else { continue }
                found.append(volume)
            }
            request.startingToken = page.nextToken
        } while !request.startingToken.isEmpty
        guard canSnapshot else { return found }
        var snapshots = Csi_V1_ListSnapshotsRequest.with { $0.maxEntries = Self.pageSize }
        repeat {
            let page = try await client.listSnapshots(snapshots, options: options)
            found += page.entries.compactMap {
                IndexedVolume($0.snapshot, node: node, defaults: defaultParameters)
            }
            snapshots.startingToken = page.nextToken
        } while !snapshots.startingToken.isEmpty
        return found
    }

    /// Two nodes that announce one endpoint would otherwise pass for each other.
    private func check(_ volume: Csi_V1_Volume, isOn node: String) throws(RequestError) {
        let place = volume.accessibleTopology.first.flatMap { Topology.node($0.segments, key: topologyKey) }
        guard let place, place != node else { return }
        throw RequestError(
            .failedPrecondition, "the endpoint of node \(node) is answered by node \(place); check -controllerEndpoint")
    }

    func room(
        _ client: NodeCaller.Client, _ options: CallOptions, _ request: Csi_V1_GetCapacityRequest = .init()
    ) async throws -> Capacity {
        let answer = try await client.getCapacity(request, options: options)
        var capacity = Capacity()
        capacity.available = UInt64(clamping: answer.availableCapacity)
        capacity.maximumVolumeSize = UInt64(clamping: answer.maximumVolumeSize.value)
        capacity.minimumVolumeSize = UInt64(clamping: answer.minimumVolumeSize.value)
        return capacity
    }
}

// Nodes, for those who look after them.
extension ClusterPool {
    /// Its volumes and snapshots count as deleted from now on. Returns how many were known.
    package func forget(_ id: String) async throws -> Int {
        if let node = registry.node(id), node.isRegistered {
            throw RequestError(
                .failedPrecondition, "node \(id) is registered; only a node that is gone can be given up")
        }
        try await blockingDevice { [state] in try state.forget(id) }
        registry.forget(id)
        state.endCreations(on: id)
        let count = index.forget(id)
        logger.warning("a node was given up", metadata: ["node": "\(id)", "volumes": "\(count)"])
        return count
    }
}
