package import DeviceManager
import Logging
import SPDK
import Synchronization

// What the services are told of a volume or snapshot.
extension SPDKPool {
    /// `parameters` are those of the call, as the volume context has them; nil where only the target is asked.
    func record(
        _ found: Found, subsystem: Subsystem?, parameters: VolumeParameters? = nil, id: VolumeID? = nil
    ) -> VolumeRecord {
        let (node, volume) = (found.target.node, found.volume)
        // A volume that was written by hand keeps the id that it was given.
        let id = id ?? VolumeID(storageNode: node.name, uuid: volume.uuid)
        var record = VolumeRecord(
            adopting: Volume(id: id, size: volume.size, location: node.name), name: "",
            parameters: parameters ?? defaultParameters, source: source(volume, node))
        let hosts = subsystem?.hosts.map(\.nqn) ?? []
        record.remote = VolumeRecord.RemoteFacts(
            context: context(found, parameters?.lvol?.values ?? [:]), publishedNodes: publishedNodes(volume, hosts),
            needsRescan: node.type == .iscsi)
        return record
    }

    /// The keys of spdk-csi, `access`, and whatever the StorageClass says.
    func context(_ found: Found, _ parameters: [String: String] = [:]) -> [String: String] {
        let (node, volume) = (found.target.node, found.volume)
        var context = [
            "targetType": node.type.transport, "targetAddr": node.addresses.text(port: node.port),
            "targetPort": "\(node.port)", "lvstore": volume.store,
        ]
        if node.type == .iscsi {
            context["iqn"] = ISCSITarget.iqn(volume.uuid)
        } else {
            context["nqn"] = Subsystem.nqn(volume.uuid)
            context["model"] = volume.uuid
            context["lvolSize"] = "\(volume.size)"
        }
        context["access"] = VolumeName(volume.name).isGuarded ? "host" : parameters["access"]
        return parameters.merging(context) { $1 }
    }

    private func source(_ volume: LogicalVolume, _ node: StorageNodeConfiguration) -> VolumeRecord.Source? {
        guard case .copy(_, let ofSnapshot, let uuid) = VolumeName(volume.name) else { return nil }
        let id = Self.id(node.name, uuid)
        return ofSnapshot ? .snapshot(id) : .volume(id)
    }

    /// Of hosts that a node's name is known for; the others are published again, and are known then. Volumes that any host
    /// may see are published to whom this controller has.
    private func publishedNodes(_ volume: LogicalVolume, _ hosts: [String]) -> [String] {
        memory.withLock { memory in
            let nodes = Set(hosts.compactMap { memory.hosts[$0] })
            guard !VolumeName(volume.name).isGuarded else { return nodes }
            return nodes.union(memory.publications[volume.uuid]?.keys.map(\.self) ?? [])
        }.sorted()
    }

    func snapshotRecord(_ found: Found, sourceID: String? = nil) -> VolumeRecord {
        let (node, volume) = (found.target.node, found.volume)
        var record = VolumeRecord(
            adopting: Volume(
                id: VolumeID(storageNode: node.name, uuid: volume.uuid), size: volume.size, location: node.name),
            name: "",
            parameters: defaultParameters, kind: .snapshot)
        // Those of spdk-csi do not say when they were taken.
        record.created = 0
        if case .snapshot(let uuid, let seconds) = VolumeName(volume.name) {
            record.created = Double(seconds)
            record.source = .volume(sourceID ?? Self.id(node.name, uuid))
        } else {
            record.source = sourceID.map { .volume($0) }
        }
        return record
    }
}

// Asking.
extension SPDKPool {
    package func volume(_ id: VolumeID) async throws -> VolumeRecord? {
        guard let found = try await find(id), !found.volume.isSnapshot else { return nil }
        let subsystem =
            found.target.node.type == .iscsi ? nil : try await found.target.subsystem(found.volume.uuid)
        return record(found, subsystem: subsystem, id: id)
    }

    package func volumes(
        after id: VolumeID?, limit: Int
    ) async throws -> (volumes: [VolumeRecord], hasMore: Bool) {
        let all = try await lists { target in
            let stores = try await target.stores()
            let volumes = try await target.volumes(in: stores).filter { !$0.isSnapshot }
            let subsystems = target.node.type == .iscsi ? [] : try await target.subsystems()
            let byVolume = Dictionary(
                subsystems.compactMap { subsystem in Subsystem.volume(subsystem.nqn).map { ($0, subsystem) } }
            ) { $1 }
            return volumes.flatMap { volume in
                self.records(Found(target: target, volume: volume), subsystem: byVolume[volume.uuid])
            }
        }
        return all.page(after: id, limit: limit)
    }

    /// Under the ids too that it was published by: what is not listed by those looks unpublished.
    private func records(_ found: Found, subsystem: Subsystem?) -> [VolumeRecord] {
        let others = memory.withLock { $0.otherIDs[found.volume.uuid] ?? [] }
        return [record(found, subsystem: subsystem)]
            + others.compactMap { volumeID($0) }.map { record(found, subsystem: subsystem, id: $0) }
    }

    /// What all nodes list, in the order of ids. Nodes that do not answer are left out and named in the log; an error
    /// only when nobody answers.
    func lists(
        _ ask: @escaping @Sendable (SPDKTarget) async throws -> [VolumeRecord]
    ) async throws -> [VolumeRecord] {
        var (records, failure, answered) = ([VolumeRecord](), (any Error)?.none, 0)
        for (node, answer) in await everywhere(ask) {
            switch answer {
            case .success(let list):
                records += list
                answered += 1
            case .failure(let error):
                failure = error
                logger.warning(
                    "a storage node is missing in a list", metadata: ["node": "\(node.name)", "error": "\(error)"])
            }
        }
        if answered == 0, let failure { throw failure }
        return records.sorted { $0.id < $1.id }
    }

    /// What a node must know of a volume of which it has only the id; nil when there is no such volume.
    package func lookup(_ id: String) async throws -> [String: String]? {
        guard let id = volumeID(id), let found = try await find(id), !found.volume.isSnapshot else { return nil }
        return context(found)
    }
}
