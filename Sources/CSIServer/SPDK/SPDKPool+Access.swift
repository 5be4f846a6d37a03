import CSIProto
package import DeviceManager
import SPDK
import Synchronization

// Access by host.
extension SPDKPool {
    func host(_ node: String) -> String {
        HostIdentity(driverName: driverName, clusterName: clusterName, nodeID: node).nqn
    }

    package func publish(_ id: VolumeID, _ request: PublishRequest) async throws -> [String: String] {
        let (found, node) = (try await volume(orThrow: id), request.publication.node)
        if let onlyNode, node != onlyNode {
            throw RequestError(.notFound, "node \"\(node)\" does not exist; this driver serves \(onlyNode)")
        }
        let (target, uuid, host) = (found.target, found.volume.uuid, host(node))
        let isGuarded = VolumeName(found.volume.name).isGuarded
        let hosts = try await hosts(of: uuid, on: target)
        try checkOthers(id, uuid, request, hosts: hosts.subtracting([host]))
        try await limitAgain(found.volume, on: target, request.message.volumeContext)
        let export = Export(allowsAnyHost: !isGuarded, hosts: isGuarded ? hosts.union([host]) : [])
        try await target.export(uuid, export)
        remember(uuid, export)
        note(id, found, request.publication, host: host)
        var context = context(found)
        context["access"] = isGuarded ? "host" : "any"
        context["readOnly"] = request.publication.readOnly ? "true" : nil
        return context
    }

    private func note(_ id: VolumeID, _ found: Found, _ publication: VolumeRecord.Publication, host: String) {
        let uuid = found.volume.uuid
        memory.withLock { memory in
            if memory.hosts.count > 50_000 { memory.hosts.removeAll() }
            memory.hosts[host] = publication.node
            memory.publications[uuid, default: [:]][publication.node] = publication
            guard id.rawValue != Self.id(found.target.node.name, uuid) else { return }
            memory.otherIDs[uuid, default: []].insert(id.rawValue)
        }
    }

    /// Those that are let in. An export that is not whole, or not there, may have lost some.
    private func hosts(of uuid: String, on target: SPDKTarget) async throws -> Set<String> {
        guard target.node.type != .iscsi else { return [] }
        let subsystem = try await target.subsystem(uuid)
        let seen = Set(subsystem?.hosts.map(\.nqn) ?? [])
        if let subsystem, target.isComplete(subsystem) { return seen }
        return seen.union(knownExport(uuid)?.hosts ?? [])
    }

    private func checkOthers(
        _ id: VolumeID, _ uuid: String, _ request: PublishRequest, hosts: Set<String>
    ) throws {
        let publication = request.publication
        let known = memory.withLock { $0.publications[uuid]?[publication.node] }
        if let known, known != publication {
            throw RequestError(
                .alreadyExists,
                "volume \(id) is published to node \(publication.node) in another way; unpublish it first")
        }
        guard let other = hosts.sorted().first, !request.mode.isShared else { return }
        let name = memory.withLock { $0.hosts[other] } ?? other
        throw RequestError(
            .failedPrecondition,
            "volume \(id) is published to node \(name), and this access mode allows one; unpublish it there first")
    }

    /// A target that was restarted has forgotten the limits. Where nobody else knows them, the volume context has those of
    /// the StorageClass. Answers those in force.
    @discardableResult
    func limitAgain(
        _ volume: LogicalVolume, on target: SPDKTarget, _ context: [String: String] = [:]
    ) async throws -> RateLimits {
        guard volume.limits.isNone else { return volume.limits }
        var wanted = LvolParameters()
        try wanted.apply(context.filter { LvolParameters.limitKeys.contains($0.key) })
        let limits = knownLimits(volume.uuid) ?? RateLimits(wanted.limits)
        guard !limits.isNone else { return volume.limits }
        try await target.limit(volume.uuid, to: limits)
        remember(volume.uuid, limits)
        return limits
    }

    package func unpublish(_ id: VolumeID, node: String?) async throws {
        guard let found = try await find(id), !found.volume.isSnapshot else { return }
        let uuid = found.volume.uuid
        if found.target.node.type != .iscsi { try await keepOut(node, of: found) }
        memory.withLock { memory in
            if let node { memory.publications[uuid]?[node] = nil } else { memory.publications[uuid] = nil }
            guard memory.publications[uuid]?.isEmpty ?? true else { return }
            memory.publications[uuid] = nil
            memory.otherIDs[uuid] = nil
        }
    }

    private func keepOut(_ node: String?, of found: Found) async throws {
        let (target, uuid) = (found.target, found.volume.uuid)
        let hosts = try await hosts(of: uuid, on: target)
        let leaving = hosts.filter { host in node.map { isHost(host, of: $0) } ?? true }
        for host in leaving { try await target.keepOut(host, of: uuid) }
        guard VolumeName(found.volume.name).isGuarded else { return }
        let export = Export(allowsAnyHost: false, hosts: hosts.subtracting(leaving))
        // Or another controller, which does not know of this call, would let the host in with its export.
        if try await !target.isExported(uuid) { try await target.export(uuid, export) }
        remember(uuid, export)
    }
}

extension VolumeCapability.Mode {
    /// Whether several nodes may have the volume.
    fileprivate var isShared: Bool {
        [.multiNodeReaderOnly, .multiNodeSingleWriter, .multiNodeMultiWriter].contains(self)
    }
}
