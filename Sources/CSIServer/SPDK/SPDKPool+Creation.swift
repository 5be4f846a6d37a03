package import DeviceManager
import GRPCCore
import Logging
import SPDK
import Synchronization

// Creation: one name becomes one logical volume, wherever it is; then its export.
extension SPDKPool {
    package func create(_ request: CreateRequest) async throws -> VolumeRecord {
        let wanted = request.parameters.lvol ?? LvolParameters()
        try checkAccess(wanted)
        let made: Found
        if let found = try await existing(request.name, isWanted: VolumeName.isVolume) {
            made = found
        } else if let source = request.source {
            made = try await copy(source, request, wanted)
        } else {
            made = try await make(request, wanted)
        }
        let record = try await finish(made, request, wanted)
        answered(request.name)
        return record
    }

    /// An iSCSI target of SPDK knows initiators by names that only they know.
    private func checkAccess(_ wanted: LvolParameters) throws {
        guard wanted.isGuarded, let name = wanted.node, let node = configuration.current?.node(name),
            node.type == .iscsi
        else { return }
        throw RequestError(
            .invalidArgument,
            "parameters: access is \"host\", and storage node \(name) exports by iSCSI, which has any only")
    }

    /// The logical volume of a name, on whatever node; nil when there is none on any node that answers, and a node that
    /// does not answer is not known to have it.
    func existing(
        _ name: String, isWanted: @escaping @Sendable (ListedLogicalVolume, String) -> Bool
    ) async throws -> Found? {
        var (found, failures) = ([Found](), [(StorageNodeConfiguration, any Error)]())
        let answers = await everywhere { try await self.existing(on: $0) { isWanted($0, name) } }
        for (node, answer) in answers {
            switch answer {
            case .success(let one): if let one { found.append(one) }
            case .failure(let error): failures.append((node, error))
            }
        }
        if found.count > 1 {
            let places = found.map(\.target.node.name).joined(separator: ", ")
            logger.warning(
                "two storage nodes have a volume of one name", metadata: ["name": "\(name)", "nodes": "\(places)"])
        }
        if let first = found.first { return first }
        for (node, error) in failures {
            let asked = memory.withLock { $0.attempts[name] } == node.name
            guard asked || state(node).mayHave({ isWanted($0, name) }) else { continue }
            // With a wrong password, or none, waiting does not help.
            guard let silent = error as? SPDKError, silent.code != .unauthorized else { throw error }
            throw RequestError(
                .unavailable, "\"\(name)\" may exist on storage node \(node.name), which does not answer: \(error)")
        }
        if failures.count == answers.count, let (_, error) = failures.first { throw error }
        return nil
    }

    /// Settled first: what is not in a list then is not there.
    private func existing(
        on target: SPDKTarget, isWanted: (ListedLogicalVolume) -> Bool
    ) async throws -> Found? {
        var doubt: RequestError?
        do {
            try await settle(target, timeout: .seconds(4))
        } catch let error as RequestError {
            doubt = error
        }
        let begin = ContinuousClock.now
        let list = try await target.list(timeout: .seconds(4))
        if let listed = list.first(where: isWanted), let volume = try await target.volume(listed.uuid) {
            return Found(target: target, volume: volume)
        }
        if let doubt { throw doubt }
        state(target.node).remember(list, askedAt: begin)
        return nil
    }

    private func make(_ request: CreateRequest, _ wanted: LvolParameters) async throws -> Found {
        var (rooms, failure) = ([StoreRoom](), (any Error)?.none)
        for (_, answer) in await everywhere({ try await self.rooms($0, wanted) }) {
            switch answer {
            case .success(let some): rooms += some
            case .failure(let error): failure = error
            }
        }
        let unit = rooms.map(\.store.clusterSize).max() ?? 4 << 20
        _ = try request.size.size(multipleOf: rooms.map(\.store.clusterSize).min() ?? unit)
        var last: (any Error)?
        for room in ranked(rooms, name: request.name, size: max(request.size.required, 1)) {
            guard let size = try? request.size.size(multipleOf: room.store.clusterSize) else { continue }
            do {
                return try await make(request.name, size, in: room, wanted)
            } catch let error as SPDKError where error.refusal == .noSpace || error.code == .notSent {
                logger.info("a store does not take a volume", metadata: ["error": "\(error)"])
                last = error
            }
        }
        if let failure { throw failure }
        throw last.flatMap { ($0 as? SPDKError)?.code == .notSent ? $0 : nil } ?? nowhere(request, wanted, rooms)
    }

    private func nowhere(_ request: CreateRequest, _ wanted: LvolParameters, _ rooms: [StoreRoom]) -> RequestError {
        let most = rooms.map(\.available).max() ?? 0
        let place = [
            wanted.node.map { "node \($0)" }, wanted.store.map { "lvstore \($0)" },
            wanted.isGuarded ? "access host, which iSCSI has not" : nil,
        ].compactMap(\.self)
        let reason =
            rooms.isEmpty
            ? "there is no logical volume store\(place.isEmpty ? "" : " as the parameters ask for: " + place.joined(separator: ", "))"
            : "\(request.size.required) bytes are needed, and the most that a store has is \(most), "
                + "with what thin volumes may still take left out"
        return RequestError(.resourceExhausted, "volume \"\(request.name)\": \(reason)")
    }

    private func make(
        _ name: String, _ size: UInt64, in room: StoreRoom, _ wanted: LvolParameters
    ) async throws -> Found {
        let (target, node) = (room.target, room.target.node.name)
        let uuid = try await state(target.node).making.withLock {
            // Others may have taken it since all stores were asked.
            let rooms = try await roomsNow(target, wanted).filter { $0.store.name == room.store.name }
            guard rooms.contains(where: { $0.available >= size }) else {
                throw SPDKError(.refused(-28), "storage node \(node): lvstore \(room.store.name) is full", text: "")
            }
            let uuid = try await attempt(name, on: node) {
                try await target.create(
                    VolumeName.volume(name, isGuarded: wanted.isGuarded), in: room.store.name, mebibytes: size >> 20,
                    isThin: wanted.provisioning == .thin, clearing: wanted.clearing)
            }
            if wanted.provisioning == .thin { state(target.node).promise(size, in: room.store.name) }
            return uuid
        }
        guard let volume = try await target.volume(uuid) else {
            throw SPDKError(.lost, "storage node \(node): volume \(uuid) is gone as soon as it was made")
        }
        state(target.node).remember(volume)
        return Found(target: target, volume: volume)
    }

    /// Remembers which node was asked, until it is certain that nothing came of that, or the caller has its answer.
    func attempt<Result: Sendable>(
        _ name: String, on node: String, _ call: () async throws -> Result
    ) async throws -> Result {
        memory.withLock { memory in
            if memory.attempts.count > 10_000 { memory.attempts.removeAll() }
            memory.attempts[name] = node
        }
        do {
            return try await call()
        } catch let error as SPDKError where error.refusal == .exists {
            // A moment ago there was none: another call, perhaps of another controller.
            throw RequestError(.aborted, "\"\(name)\" is being made by another call; try again")
        } catch let error as SPDKError where !error.isAmbiguous {
            memory.withLock { $0.attempts[name] = nil }
            throw error
        }
    }
}

// The rest of a creation, which a repeated call does as well.
extension SPDKPool {
    func finish(_ made: Found, _ request: CreateRequest, _ wanted: LvolParameters) async throws -> VolumeRecord {
        var found = made
        let uuid = found.volume.uuid
        return try await gate.run(uuid) {
            let isExported = try await found.target.isExported(uuid)
            found = try await unfinished(found) { try await thickened(found, request, wanted) }
            found = try await unfinished(found) { try await grown(found, request, isExported) }
            try check(found, request, wanted)
            // An older volume may have hosts, which a target that was restarted has forgotten.
            let export = knownExport(uuid) ?? Export(allowsAnyHost: !wanted.isGuarded)
            try await unfinished(found) {
                try await limit(found, to: wanted)
                if !isExported { try await found.target.export(uuid, export) }
            }
            if knownExport(uuid) == nil { remember(uuid, export) }
            return record(found, subsystem: nil, parameters: request.parameters)
        }
    }

    /// Once there is a logical volume, an error must not look final: a provisioner would forget the volume, and
    /// nobody would ever delete it.
    private func unfinished<Result>(_ found: Found, _ step: () async throws -> Result) async throws -> Result {
        do {
            return try await step()
        } catch {
            let open: [RPCError.Code] = [.unavailable, .aborted, .deadlineExceeded]
            guard let error = error as? any RPCErrorConvertible, !open.contains(error.rpcErrorCode) else { throw error }
            throw RequestError(
                .unavailable,
                "volume \(found.target.node.name):\(found.volume.uuid) was made, and is not ready: \(error.rpcErrorMessage)"
            )
        }
    }

    /// The watch may have exported it before a creation that was cut off had come to this; limits that were changed since
    /// are remembered.
    private func limit(_ found: Found, to wanted: LvolParameters) async throws {
        guard !wanted.limits.isEmpty, found.volume.limits.isNone, knownLimits(found.volume.uuid) == nil else { return }
        let limits = RateLimits(wanted.limits)
        try await found.target.limit(found.volume.uuid, to: limits)
        remember(found.volume.uuid, limits)
    }

    /// A copy is made with the size of its source, and may have been cut off before it was as large as it should be: then
    /// the watch may have exported it. Another exported one was answered for, perhaps, and stays as it is.
    private func grown(_ found: Found, _ request: CreateRequest, _ isExported: Bool) async throws -> Found {
        guard let source = request.source, case .copy = VolumeName(found.volume.name),
            found.volume.size < request.size.required
        else { return found }
        if isExported {
            let original = if let id = volumeID(source.id) { try await find(id) } else { Found?.none }
            guard original?.volume.size == found.volume.size else { return found }
        }
        return try await grow(found, to: request.size)
    }

    private func check(_ found: Found, _ request: CreateRequest, _ wanted: LvolParameters) throws {
        let (volume, node) = (found.volume, found.target.node)
        let difference: String? =
            if !request.size.contains(volume.size) {
                "capacity_range (it has \(volume.size) bytes)"
            } else if !hasSource(found, request.source) {
                "volume_content_source"
            } else if wanted.node.map({ $0 != node.name }) ?? false {
                "parameters: node (it is on \(node.name))"
            } else if wanted.store.map({ $0 != volume.store }) ?? false {
                "parameters: lvstore (it is in \(volume.store))"
            } else if wanted.isGuarded != VolumeName(volume.name).isGuarded {
                "parameters: access"
            } else if request.source == nil, volume.base == nil, volume.isThin != (wanted.provisioning == .thin) {
                "parameters: provisioning"
            } else {
                nil
            }
        guard let difference else { return }
        throw RequestError(
            .alreadyExists,
            "volume \"\(request.name)\" exists as \(node.name):\(volume.uuid) with another \(difference)")
    }

    /// Volumes of spdk-csi do not say what they were made from.
    func hasSource(_ found: Found, _ wanted: VolumeRecord.Source?) -> Bool {
        switch (VolumeName(found.volume.name), wanted) {
        case (.plain, nil), (.guarded, nil): true
        case (.plain, .snapshot?): found.volume.base != nil
        case (.copy(_, let ofSnapshot, let uuid), .snapshot(let id)?):
            ofSnapshot && volumeID(id).map(Self.uuid) == uuid
        case (.copy(_, let ofSnapshot, let uuid), .volume(let id)?):
            !ofSnapshot && volumeID(id).map(Self.uuid) == uuid
        default: false
        }
    }
}
