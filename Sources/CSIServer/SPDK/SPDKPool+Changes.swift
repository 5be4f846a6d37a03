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
        return record(found, subsystem: nil)
    }

    func grow(_ found: Found, to size: SizeRange) async throws -> Found {
        let (target, volume) = (found.target, found.volume)
        guard let store = try await target.stores().first(where: { $0.name == volume.store }) else {
            throw RequestError(
                .unavailable, "storage node \(target.node.name): lvstore \(volume.store) is not there, or not in use")
        }
        let bytes = try size.size(multipleOf: store.clusterSize)
        var wanted = LvolParameters()
        try wanted.apply(["provisioning": volume.isThin ? "thin" : "thick", "lvstore": store.name])
        let room = try await rooms(target, wanted).first?.available ?? 0
        guard bytes - volume.size <= room else {
            throw RequestError(
                .resourceExhausted,
                "volume \(target.node.name):\(volume.uuid) needs \(bytes - volume.size) bytes more, and its store has \(room)"
            )
        }
        if volume.base != nil, try await !target.allowsSmallerBase() { try await separate(found) }
        try await target.resize(volume.uuid, mebibytes: bytes >> 20)
        if volume.isThin { state(target.node).promise(bytes - volume.size, in: store.name) }
        guard let grown = try await target.volume(volume.uuid), grown.size >= size.required else {
            throw SPDKError(.lost, "storage node \(target.node.name): volume \(volume.uuid) did not grow")
        }
        return Found(target: target, volume: grown)
    }

    /// Leaves the volume without a base.
    private func separate(_ found: Found) async throws {
        let (target, uuid) = (found.target, found.volume.uuid)
        var base = found.volume.base
        while let last = base {
            try await target.decouple(uuid)
            base = try await target.volume(uuid)?.base
            guard base != last else {
                throw SPDKError(.lost, "storage node \(target.node.name): volume \(uuid) is still based on \(last)")
            }
            await prune(target, store: found.volume.store, base: last)
        }
    }

    package func modify(_ id: VolumeID, _ changes: MutableParameters) async throws {
        let found = try await volume(orThrow: id)
        var wanted = LvolParameters()
        try wanted.apply(changes.values)
        var limits = found.volume.limits
        limits.values = limits.values.filter { LvolParameters.limitKeys.contains($0.key) }
        limits.values.merge(wanted.limits) { $1 }
        try await found.target.limit(found.volume.uuid, to: RateLimits(wanted.limits))
        memory.withLock { $0.limits[found.volume.uuid] = limits }
    }

    package func delete(_ id: VolumeID) async throws {
        guard let found = try await find(id), !found.volume.isSnapshot else { return try await deleteExport(id) }
        let (target, volume) = (found.target, found.volume)
        if target.node.type != .iscsi, let subsystem = try await target.subsystem(volume.uuid) {
            guard subsystem.hosts.isEmpty else { throw inUse(id, subsystem) }
        }
        try await target.unexport(volume.uuid)
        forget(volume.uuid)
        try await target.delete(volume.uuid)
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

    private func forget(_ uuid: String) {
        memory.withLock { memory in
            memory.exports[uuid] = nil
            memory.limits[uuid] = nil
            memory.publications = memory.publications.filter { !$0.key.hasPrefix("\(uuid) ") }
        }
    }
}

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
        let hosts = target.node.type == .iscsi ? [] : try await target.subsystem(uuid)?.hosts.map(\.nqn) ?? []
        try checkOthers(id, uuid, request, hosts: Set(hosts).subtracting([host]))
        try await limitAgain(found, request.message.volumeContext)
        let export = Export(allowsAnyHost: !isGuarded, hosts: isGuarded ? Set(hosts).union([host]) : [])
        try await target.export(uuid, export)
        remember(uuid, export)
        memory.withLock { memory in
            if memory.hosts.count > 50_000 { memory.hosts.removeAll() }
            memory.hosts[host] = node
            memory.publications["\(uuid) \(node)"] = request.publication
        }
        var context = context(found)
        context["access"] = isGuarded ? "host" : "any"
        context["readOnly"] = request.publication.readOnly ? "true" : nil
        return context
    }

    private func checkOthers(
        _ id: VolumeID, _ uuid: String, _ request: PublishRequest, hosts: Set<String>
    ) throws {
        let publication = request.publication
        let known = memory.withLock { $0.publications["\(uuid) \(publication.node)"] }
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

    /// A target that was restarted has forgotten the limits; the volume context has those of the StorageClass.
    private func limitAgain(_ found: Found, _ context: [String: String]) async throws {
        guard found.volume.limits.isNone, memory.withLock({ $0.limits[found.volume.uuid] }) == nil else { return }
        var wanted = LvolParameters()
        try wanted.apply(context.filter { LvolParameters.limitKeys.contains($0.key) })
        guard wanted.limits.contains(where: { $0.value > 0 }) else { return }
        try await found.target.limit(found.volume.uuid, to: RateLimits(wanted.limits))
    }

    package func unpublish(_ id: VolumeID, node: String?) async throws {
        guard let found = try await find(id), !found.volume.isSnapshot else { return }
        let uuid = found.volume.uuid
        if found.target.node.type != .iscsi {
            if let subsystem = try await found.target.subsystem(uuid) {
                for host in subsystem.hosts.map(\.nqn) where node.map({ host == self.host($0) }) ?? true {
                    try await found.target.keepOut(host, of: uuid)
                }
            } else if VolumeName(found.volume.name).isGuarded {
                // Or another controller, which does not know of this call, would let the host in with its export.
                let known = memory.withLock { $0.exports[uuid]?.hosts } ?? []
                let hosts = node.map { known.subtracting([host($0)]) } ?? []
                try await found.target.export(uuid, Export(allowsAnyHost: false, hosts: hosts))
            }
        }
        memory.withLock { memory in
            for key in memory.publications.keys where key.hasPrefix("\(uuid) \(node ?? "")") {
                if node == nil || key == "\(uuid) \(node ?? "")" { memory.publications[key] = nil }
            }
            guard let export = memory.exports[uuid], !export.allowsAnyHost else { return }
            let left = node.map { export.hosts.subtracting([self.host($0)]) } ?? []
            memory.exports[uuid] = Export(allowsAnyHost: false, hosts: left)
        }
    }
}

extension VolumeCapability.Mode {
    /// Whether several nodes may have the volume.
    fileprivate var isShared: Bool {
        [.multiNodeReaderOnly, .multiNodeSingleWriter, .multiNodeMultiWriter].contains(self)
    }
}
