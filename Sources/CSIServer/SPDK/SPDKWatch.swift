import DeviceManager
import Logging
import SPDK
import ServiceLifecycle
import Synchronization

/// Looks after the storage nodes that can be asked without a call's secrets: reads changed configuration files, makes
/// exports again that a restarted target has forgotten, and removes what cut-off calls left.
///
/// Every node has a loop of its own, so that a slow one delays only itself.
package struct SPDKWatch: Service {
    private let pool: SPDKPool
    private let period: Duration

    package init(pool: SPDKPool, period: Duration = .seconds(4)) {
        self.pool = pool
        self.period = period
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                var running: [String: Task<Void, Never>] = [:]
                while !Task.isCancelled {
                    _ = pool.secrets.current
                    let nodes = pool.nodes
                    for node in nodes where running[node.name] == nil {
                        let loop = Task { await self.look(after: node.name) }
                        running[node.name] = loop
                        group.addTask {
                            await withTaskCancellationHandler {
                                await loop.value
                            } onCancel: {
                                loop.cancel()
                            }
                        }
                    }
                    for name in running.keys where !nodes.contains(where: { $0.name == name }) {
                        running.removeValue(forKey: name)?.cancel()
                    }
                    try? await Task.sleep(for: .seconds(2))
                }
                group.cancelAll()
            }
        }
    }

    private func look(after name: String) async {
        var tidying = Tidying()
        while !Task.isCancelled {
            var pause = period
            if let node = pool.configuration.current?.node(name), pool.canAsk(node) {
                let begin = ContinuousClock.now
                do {
                    try await pool.restore(node, &tidying)
                    // Long lists cost the target's proxy much; it must not do nothing but answer us.
                    pause = max(period, (ContinuousClock.now - begin) * 10)
                } catch {
                    pool.logger.debug("a storage node is not looked after", metadata: ["error": "\(error)"])
                }
            }
            try? await Task.sleep(for: pause)
        }
    }
}

/// What looked like a leftover the last time: only what is one twice is removed.
struct Tidying: Sendable {
    var subsystems: Set<String> = []
    var snapshots: Set<String> = []
}

extension SPDKPool {
    /// One look at one node.
    func restore(_ node: StorageNodeConfiguration, _ tidying: inout Tidying) async throws {
        let target = try target(node)
        let (list, exports) = try await state(node).note { () throws(SPDKError) in
            let list = try await target.list()
            return (list, try await self.exports(target))
        }
        // The names of a store that is missing are not forgotten.
        if (try? await checkStores(target)) != nil { state(node).remember(list) }
        for listed in list where !listed.isSnapshot && VolumeName(listed.name) != .hidden {
            let uuid = listed.uuid.lowercased()
            if let export = exports[uuid], export.isComplete {
                remember(uuid, export.export)
            } else if let wanted = wanted(listed, uuid) {
                await restore(uuid, as: wanted, on: target)
            }
        }
        await tidy(target, list, exports, &tidying)
    }

    private struct Seen: Sendable {
        let export: Export
        let isComplete: Bool
    }

    private func exports(_ target: SPDKTarget) async throws(SPDKError) -> [String: Seen] {
        if target.node.type == .iscsi {
            let uuids = try await target.iscsiTargets().compactMap(\.volume)
            return Dictionary(uuids.map { ($0, Seen(export: Export(allowsAnyHost: true), isComplete: true)) }) { $1 }
        }
        let seen = try await target.subsystems().compactMap { subsystem -> (String, Seen)? in
            guard let uuid = Subsystem.volume(subsystem.nqn) else { return nil }
            let export = Export(allowsAnyHost: subsystem.allowsAnyHost, hosts: Set(subsystem.hosts.map(\.nqn)))
            return (uuid, Seen(export: export, isComplete: target.isComplete(subsystem)))
        }
        return Dictionary(seen) { $1 }
    }

    /// Nil for what was never exported as far as anybody knows: it may be no volume of ours.
    private func wanted(_ listed: ListedLogicalVolume, _ uuid: String) -> Export? {
        if let export = memory.withLock({ $0.exports[uuid] }) { return export }
        switch VolumeName(listed.name) {
        case .guarded, .copy(isGuarded: true, _, _): return Export(allowsAnyHost: false)
        case .copy(isGuarded: false, _, _): return Export(allowsAnyHost: true)
        // As the external-provisioner calls them.
        case .plain: return listed.name.hasPrefix("pvc-") ? Export(allowsAnyHost: true) : nil
        case .snapshot, .hidden: return nil
        }
    }

    private func restore(_ uuid: String, as export: Export, on target: SPDKTarget) async {
        let id = Self.id(target.node.name, uuid)
        do {
            try await gate.run(id) {
                // A call may have ended since the list was read.
                guard let volume = try await target.volume(uuid), !volume.isSnapshot,
                    try await !target.isExported(uuid)
                else { return }
                if volume.limits.isNone, let limits = memory.withLock({ $0.limits[uuid] }) {
                    try await target.limit(uuid, to: limits)
                }
                try await target.export(uuid, export)
                logger.notice("the export of a volume was missing, and is made again", metadata: ["volume": "\(id)"])
            }
        } catch {
            logger.warning("the export of a volume is missing", metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }

    /// Subsystems without a volume, and snapshots below clones that nobody needs.
    private func tidy(
        _ target: SPDKTarget, _ list: [ListedLogicalVolume], _ exports: [String: Seen], _ tidying: inout Tidying
    ) async {
        let uuids = Set(list.map { $0.uuid.lowercased() })
        let orphans = Set(exports.keys).subtracting(uuids)
        for uuid in orphans.intersection(tidying.subsystems) {
            try? await gate.run(Self.id(target.node.name, uuid)) {
                guard try await target.volume(uuid) == nil else { return }
                try await target.unexport(uuid)
            }
        }
        tidying.subsystems = orphans
        let hidden = Set(
            list.filter { $0.isSnapshot && VolumeName($0.name) == .hidden }.map { "\($0.store.name)/\($0.name)" })
        for name in hidden.intersection(tidying.snapshots) {
            let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            await prune(target, store: parts[0], base: parts[1])
        }
        tidying.snapshots = hidden
    }
}
