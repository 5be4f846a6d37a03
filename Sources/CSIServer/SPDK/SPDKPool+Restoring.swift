import DeviceManager
import Logging
import SPDK
import Synchronization

// What a restarted target has forgotten is made again, and what cut-off calls left is removed.
extension SPDKPool {
    /// One look at one node; answers how long its lists took. Throws where the node is out of reach, also in the middle: the
    /// next look comes soon.
    @discardableResult
    func restore(_ node: StorageNodeConfiguration, _ seen: inout Seen) async throws -> Duration {
        let target = try target(node), begin = ContinuousClock.now
        let (list, exports) = try await state(node).note { () throws(SPDKError) in
            let list = try await target.list()
            return (list, try await self.exports(target))
        }
        let cost = ContinuousClock.now - begin
        state(node).add(list)
        for listed in list where !listed.isSnapshot && VolumeName(listed.name) != .hidden {
            let uuid = listed.uuid.lowercased()
            if let export = exports[uuid], export.isComplete {
                remember(uuid, export.export, seen: begin)
            } else if wantedExport(listed.name, uuid) != nil {
                seen.mayBeNew = true
                try await restore(listed, on: target)
            }
        }
        let more = try await lookAtLimits(target, &seen)
        await tidy(target, list, Set(exports.keys), &seen)
        return cost + more
    }

    private struct SeenExport: Sendable {
        let export: Export
        let isComplete: Bool
    }

    private func exports(_ target: SPDKTarget) async throws(SPDKError) -> [String: SeenExport] {
        if target.node.type == .iscsi {
            let uuids = try await target.iscsiTargets().compactMap(\.volume)
            let open = SeenExport(export: Export(allowsAnyHost: true), isComplete: true)
            return Dictionary(uuids.map { ($0, open) }) { $1 }
        }
        let seen = try await target.subsystems().compactMap { subsystem -> (String, SeenExport)? in
            guard let uuid = Subsystem.volume(subsystem.nqn) else { return nil }
            let export = Export(allowsAnyHost: subsystem.allowsAnyHost, hosts: Set(subsystem.hosts.map(\.nqn)))
            return (uuid, SeenExport(export: export, isComplete: target.isComplete(subsystem)))
        }
        return Dictionary(seen) { $1 }
    }

    /// Nil for what was never exported as far as anybody knows: it may be no volume of ours.
    private func wantedExport(_ name: String, _ uuid: String) -> Export? {
        if let export = knownExport(uuid) { return export }
        switch VolumeName(name) {
        case .guarded, .copy(isGuarded: true, _, _): return Export(allowsAnyHost: false)
        case .copy(isGuarded: false, _, _): return Export(allowsAnyHost: true)
        // As the external-provisioner calls them.
        case .plain: return name.hasPrefix("pvc-") ? Export(allowsAnyHost: true) : nil
        case .snapshot, .hidden: return nil
        }
    }

    private func restore(_ listed: ListedLogicalVolume, on target: SPDKTarget) async throws {
        let uuid = listed.uuid.lowercased()
        try await attend(to: uuid, on: target) {
            // A call may have ended since the list was read.
            guard let volume = try await target.volume(uuid), !volume.isSnapshot else { return }
            try await makeExport(volume, on: target)
        }
    }

    /// Where it is missing. The caller holds the volume's place in the gate.
    private func makeExport(_ volume: LogicalVolume, on target: SPDKTarget) async throws {
        guard let export = wantedExport(volume.name, volume.uuid), try await !target.isExported(volume.uuid) else {
            return
        }
        try await limitAgain(volume, on: target)
        try await target.export(volume.uuid, export)
        let id = Self.id(target.node.name, volume.uuid)
        logger.notice("the export of a volume was missing, and is made again", metadata: ["volume": "\(id)"])
    }

    /// For a volume whose secrets a call brings: without the mounted file nobody else could do it. The call's own work is
    /// done in any case.
    func exportAgain(_ found: Found) async {
        do {
            try await makeExport(found.volume, on: found.target)
        } catch {
            logger.warning("the export of a volume is missing", metadata: ["error": "\(error)"])
        }
    }

    /// What is wrong with one volume is logged; an outage is thrown.
    private func attend(
        to uuid: String, on target: SPDKTarget, _ work: () async throws -> Void
    ) async throws {
        do {
            try await gate.run(uuid) { try await work() }
        } catch let error as SPDKError where error.isOutage {
            throw error
        } catch let error as RequestError where error.code == .aborted {
            // A call has it; the next look sees what that leaves.
        } catch {
            let id = Self.id(target.node.name, uuid)
            logger.warning(
                "the export of a volume is missing, or its limits are",
                metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }
}

// Limits, which another controller that made an export again may not have known.
extension SPDKPool {
    /// Not at every look, since it needs the long list; answers how long that took. Limits that are gone though the target
    /// was there all the time were taken away, by another controller.
    private func lookAtLimits(_ target: SPDKTarget, _ seen: inout Seen) async throws -> Duration {
        defer { seen.looks += 1 }
        guard seen.mayBeNew || seen.looks % 5 == 0 else { return .zero }
        let begin = ContinuousClock.now
        let volumes = try await target.volumes(in: []).filter { !$0.isSnapshot }
        let cost = ContinuousClock.now - begin
        for volume in volumes {
            let known = knownLimits(volume.uuid)
            if seen.mayBeNew, volume.limits.isNone, known?.isNone == false {
                try await setLimits(volume.uuid, on: target)
            } else if known != nil || !volume.limits.isNone {
                remember(volume.uuid, volume.limits, seen: begin)
            }
        }
        seen.mayBeNew = false
        return cost
    }

    private func setLimits(_ uuid: String, on target: SPDKTarget) async throws {
        try await attend(to: uuid, on: target) {
            guard let volume = try await target.volume(uuid) else { return }
            try await limitAgain(volume, on: target)
        }
    }
}

// Leftovers.
extension SPDKPool {
    /// Subsystems without a volume, and snapshots below clones that nobody needs.
    private func tidy(
        _ target: SPDKTarget, _ list: [ListedLogicalVolume], _ exports: Set<String>, _ seen: inout Seen
    ) async {
        let orphans = exports.subtracting(list.map { $0.uuid.lowercased() })
        for uuid in orphans.intersection(seen.subsystems) {
            // Not while a store is missing, or being opened.
            try? await gate.run(uuid) {
                guard try await certain(uuid, on: target) == nil else { return }
                try await target.unexport(uuid)
            }
        }
        seen.subsystems = orphans
        let hidden = Set(
            list.filter { $0.isSnapshot && VolumeName($0.name) == .hidden }.map { "\($0.store.name)/\($0.name)" })
        for name in hidden.intersection(seen.snapshots) {
            let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            await prune(target, store: parts[0], base: parts[1])
        }
        seen.snapshots = hidden
    }
}
