import CSIProto
package import DeviceManager
import GRPCCore
import Logging
import Registry
import SwiftProtobuf

// Volumes that exist: asked of their nodes, listed from what those told.
extension ClusterPool {
    package func delete(_ id: VolumeID) async throws {
        switch owner(of: id) {
        case .forgotten: return
        case .away(let node): throw away(id, node)
        case .node(let node):
            try await change(id, on: node) { client, options in
                _ = try await client.deleteVolume(.with { $0.volumeID = id.rawValue }, options: options)
            } apply: {
                index.remove(id)
            }
        }
    }

    package func publish(_ id: VolumeID, _ request: PublishRequest) async throws -> [String: String] {
        let target = request.publication.node
        let owner = owner(of: id)
        let isItsNode = id.isOn(node: target)
        guard registry.node(target) != nil || isItsNode else {
            throw RequestError(.notFound, "node \"\(target)\" does not exist, or never registered")
        }
        guard case .node(let node) = owner else {
            _ = try present(id)
            return [:]
        }
        guard node.id == target else {
            // The volume may not exist at all, which counts first.
            guard try await volume(id) != nil else { throw notFound(id) }
            throw RequestError(
                .failedPrecondition, "volume \(id) is on node \(node.id) and cannot be published to node \(target)")
        }
        try await change(id, on: node) { client, options in
            _ = try await client.controllerPublishVolume(request.message, options: options)
        } apply: {
            index.update(id) { $0.isPublished = true }
        }
        return [:]
    }

    package func unpublish(_ id: VolumeID, node target: String?) async throws {
        switch owner(of: id) {
        case .forgotten: return
        case .away(let node):
            // It cannot be published to any other node.
            if let target, id.nodeHash != nil, !id.isOn(node: target) { return }
            throw away(id, node)
        case .node(let node):
            try await change(id, on: node) { client, options in
                let request = Csi_V1_ControllerUnpublishVolumeRequest.with {
                    $0.volumeID = id.rawValue
                    $0.nodeID = target ?? ""
                }
                _ = try await client.controllerUnpublishVolume(request, options: options)
            } apply: {
                if target == nil || target == node.id { index.update(id) { $0.isPublished = false } }
            }
        }
    }

    /// As its node says; what is known where the node is away.
    package func volume(_ id: VolumeID) async throws -> VolumeRecord? {
        switch owner(of: id) {
        case .forgotten: return nil
        case .away(let node):
            guard let entry = index.entry(id) else { throw away(id, node) }
            return entry.record
        case .node(let node):
            do {
                let answer = try await nodes.call(node) { client, options in
                    try await client.controllerGetVolume(.with { $0.volumeID = id.rawValue }, options: options)
                }
                return IndexedVolume(
                    answer.volume, published: answer.status.publishedNodeIds, node: node.id, defaults: defaultParameters
                )?
                .record
            } catch let error as NodeError where error.outcome == .answered(.notFound) {
                return nil
            }
        }
    }

    package func volumes(after id: VolumeID?, limit: Int) -> (volumes: [VolumeRecord], hasMore: Bool) {
        page(after: id, limit: limit) { $0.kind == .volume }
    }

    func page(
        after id: VolumeID?, limit: Int, where fits: (IndexedVolume) -> Bool
    ) -> (volumes: [VolumeRecord], hasMore: Bool) {
        var found = index.page(after: id, limit: limit, where: fits)
        let hasMore = limit > 0 && found.count > limit
        if hasMore { found.removeLast() }
        return (found.map(\.record), hasMore)
    }

    package func expand(_ id: VolumeID, to size: SizeRange) async throws -> VolumeRecord {
        let node = try present(id)
        let request = Csi_V1_ControllerExpandVolumeRequest.with {
            $0.volumeID = id.rawValue
            $0.capacityRange.requiredBytes = Int64(clamping: size.required)
            $0.capacityRange.limitBytes = size.limit.map { Int64(clamping: $0) } ?? 0
        }
        let answer = try await nodes.call(node) { try await $0.controllerExpandVolume(request, options: $1) }
        index.update(id) { $0.size = UInt64(clamping: answer.capacityBytes) }
        let volume = Volume(id: id, size: UInt64(clamping: answer.capacityBytes), location: node.id)
        var record = VolumeRecord(adopting: volume, name: "", parameters: defaultParameters)
        if !answer.nodeExpansionRequired { record.format = .block }
        return record
    }

    package func modify(_ id: VolumeID, _ changes: MutableParameters) async throws {
        try await change(id, on: try present(id)) { client, options in
            let request = Csi_V1_ControllerModifyVolumeRequest.with {
                $0.volumeID = id.rawValue
                $0.mutableParameters = changes.values
            }
            _ = try await client.controllerModifyVolume(request, options: options)
        } apply: {
            index.update(id) { try? $0.parameters.apply(changes.values) }
        }
    }

    /// Passes a change on, and enters what came of it.
    func change(
        _ id: VolumeID, on node: NodeRegistry.Node, _ call: (NodeCaller.Client, CallOptions) async throws -> Void,
        apply: () -> Void
    ) async throws {
        try await nodes.call(node, call)
        apply()
    }

    func notFound(_ id: VolumeID) -> RequestError { RequestError(.notFound, "volume \(id) does not exist") }
}

// Room.
extension ClusterPool {
    /// As many nodes are asked at a time when all are.
    private static let width = 32

    /// Of one node, as it says now; of all of them together where no segment is named, without those that do not answer.
    package func capacity(for parameters: VolumeParameters, segments: [String: String]?) async throws -> Capacity {
        let request = Csi_V1_GetCapacityRequest.with { $0.parameters = parameters.context }
        if let segments {
            guard let name = Topology.node(segments, key: topologyKey), let node = registry.node(name),
                node.isRegistered
            else { return Capacity() }
            return try await nodes.call(node) { try await room($0, $1, request) }
        }
        let line = WaitingLine(places: Self.width)
        return await withTaskGroup(of: Capacity?.self) { group in
            for node in registry.all where node.isRegistered {
                group.addTask { [self] in
                    await line.run {
                        try? await nodes.call(node, timeout: .seconds(5)) { try await room($0, $1, request) }
                    }
                }
            }
            return await group.reduce(into: Capacity()) { sum, capacity in
                guard let capacity else { return }
                sum.add(capacity)
            }
        }
    }
}

extension Capacity {
    fileprivate mutating func add(_ other: Capacity) {
        let sum = available.addingReportingOverflow(other.available)
        available = sum.overflow ? .max : sum.partialValue
        maximumVolumeSize = max(maximumVolumeSize, other.maximumVolumeSize)
        minimumVolumeSize = max(minimumVolumeSize, other.minimumVolumeSize)
    }
}
