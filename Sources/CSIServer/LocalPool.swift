package import DeviceManager
import FoundationEssentials
package import Logging
import Synchronization

/// The volumes of this machine: a device manager and the records of what it cannot hold.
///
/// Every change is recorded before the device is touched, so that a call cut off anywhere is finished or taken back by
/// its repetition or by the next start.
package final class LocalPool: VolumePool {
    let manager: any DeviceManager
    let records: VolumeRecords
    package let topology: Topology
    let logger: Logger
    private let shutdown: OnceFlag
    private let state = Mutex(Readiness.starting)

    package init(
        manager: any DeviceManager, records: VolumeRecords, topology: Topology, shutdown: OnceFlag, logger: Logger
    ) {
        self.manager = manager
        self.records = records
        self.topology = topology
        self.shutdown = shutdown
        self.logger = logger
    }

    package var readiness: Readiness { state.withLock { $0 } }

    func set(_ state: Readiness) {
        self.state.withLock { $0 = state }
    }

    package func key(forName name: String) -> String { id(forName: name).rawValue }

    package func volume(_ id: VolumeID) throws -> VolumeRecord? {
        guard let record = try records.record(id), record.phase != .creating else { return nil }
        return record
    }

    package func volumes(after id: VolumeID?, limit: Int) -> (volumes: [VolumeRecord], hasMore: Bool) {
        let rest = records.all.filter { $0.phase != .creating && $0.id > id?.rawValue ?? "" }
        guard limit > 0, rest.count > limit else { return (rest, false) }
        return (Array(rest.prefix(limit)), true)
    }

    package func capacity(for parameters: VolumeParameters, segments: [String: String]?) async throws -> Capacity {
        if let segments, !topology.matches(segments) { return Capacity() }
        return try await manager.capacity(for: parameters)
    }

    private func id(forName name: String) -> VolumeID { VolumeID(name: name, node: topology.node) }
}

// Creation and deletion.
extension LocalPool {
    package func create(_ request: CreateRequest) async throws -> VolumeRecord {
        let id = id(forName: request.name)
        let record = try records.record(id)
        if let record, let existing = try existing(record, for: request) { return existing }
        guard request.topology.allows(topology) else {
            throw RequestError(
                .resourceExhausted,
                "volume \(id): accessibility_requirements name only other places than \(topology.key)=\(topology.node)")
        }
        if let record {
            // Cut off before it was ever handed out: begin anew.
            try await discard(record, id)
        }
        if let stray = try await manager.volume(id, location: nil) {
            throw RequestError(
                .failedPrecondition,
                "volume \(id) exists in \(stray.location) without a record; rebuild the record with csictl adopt, or remove the volume"
            )
        }
        let spec = VolumeSpec(id: id, name: request.name, size: request.size, parameters: request.parameters)
        return try await make(spec, request.capabilities, attempts: 3)
    }

    private func make(_ spec: VolumeSpec, _ capabilities: [String], attempts: Int) async throws -> VolumeRecord {
        let location = try await manager.place(spec)
        var record = VolumeRecord(
            spec: spec, capabilities: capabilities, location: location, created: Date().timeIntervalSince1970)
        try await save(record)
        do {
            let volume = try await manager.create(spec, at: location)
            record.size = volume.size
            record.location = volume.location
        } catch {
            try await forget(record, spec.id, after: error)
            // Another creation took the room there; elsewhere there may be some.
            guard error.code == .notEnoughSpace, attempts > 1 else { throw error }
            return try await make(spec, capabilities, attempts: attempts - 1)
        }
        record.phase = .ready
        do {
            try await save(record)
        } catch {
            // No answer will ever name the device. If it stays, so does the record that says `creating`.
            try? await discard(record, spec.id)
            throw error
        }
        return record
    }

    /// Drops the record of a creation that failed; one whose device could not be taken back stays for the next time.
    private func forget(_ record: VolumeRecord, _ id: VolumeID, after error: DeviceError) async throws {
        let isAbsent = (try? await manager.volume(id, location: record.location) == nil) ?? false
        guard error.code == .alreadyExists || isAbsent else { return }
        try await blockingDevice { [records] in try records.remove(id) }
    }

    /// Takes back a creation that was never answered: device, then record.
    func discard(_ record: VolumeRecord, _ id: VolumeID) async throws {
        if let location = record.location { try await manager.discard(id, location: location) }
        try await blockingDevice { [records] in try records.remove(id) }
    }

    /// On disk before it returns, and off the cooperative pool meanwhile.
    func save(_ record: VolumeRecord) async throws {
        try await blockingDevice { [records] in try records.save(record) }
    }

    /// The volume that an earlier call of the same name made, if it is what this request wants; nil when it was cut off.
    private func existing(_ record: VolumeRecord, for request: CreateRequest) throws -> VolumeRecord? {
        switch record.phase {
        case .creating: return nil
        case .deleting:
            throw RequestError(.aborted, "volume \(record.id) is being deleted; try again when it is gone")
        case .ready: break
        }
        let difference: String? =
            if !record.name.isEmpty && record.name != request.name {
                "name"
            } else if !request.size.contains(record.size) {
                "capacity_range (it has \(record.size) bytes)"
            } else if record.parameters != request.parameters {
                "parameters"
            } else if !record.capabilities.isEmpty && record.capabilities != request.capabilities {
                "volume_capabilities"
            } else if !request.topology.allows(topology) {
                "accessibility_requirements (it is on \(topology.node))"
            } else {
                nil
            }
        if let difference {
            throw RequestError(
                .alreadyExists,
                "volume \(record.id) of the same name exists and differs in \(difference); use another name")
        }
        return record
    }

    package func delete(_ id: VolumeID) async throws {
        guard var record = try records.record(id) else { return try await checkAbsent(id) }
        if let publication = record.publication {
            throw RequestError(
                .failedPrecondition, "volume \(id) is published to node \(publication.node); unpublish it first")
        }
        guard record.phase != .creating else { return try await discard(record, id) }
        let location = try await location(of: record, id)
        // Before the record says `deleting`: after a crash that is carried out without asking anybody.
        if record.phase == .ready { try await manager.checkUnused(id, location: location) }
        record.location = location
        record.phase = .deleting
        try await save(record)
        let isTouched = OnceFlag(record.erased > 0)
        do {
            let erasure = record.parameters.eraseAfter ? erasure(of: record, id, isTouched) : nil
            try await manager.delete(id, location: location, erasure: erasure)
        } catch {
            // Refused before anything was overwritten: the volume is what it was.
            guard error.code == .inUse, !isTouched.isSet else { throw error }
            record.phase = .ready
            try await save(record)
            throw error
        }
        try await blockingDevice { [records] in try records.remove(id) }
    }

    /// Recorded, except for a volume of pmem-csi whose device was not seen yet.
    private func location(of record: VolumeRecord, _ id: VolumeID) async throws -> String {
        if let location = record.location { return location }
        guard let volume = try await manager.volume(id, location: nil) else {
            throw RequestError(
                .unavailable, "volume \(id): its device was never seen; bring its region back and try again")
        }
        return volume.location
    }

    /// Nothing here has that id; success only where that is certain.
    private func checkAbsent(_ id: VolumeID) async throws {
        if let stray = try await manager.volume(id, location: nil) {
            throw RequestError(
                .failedPrecondition,
                "volume \(id) exists in \(stray.location) without a record, so it is not deleted; see csictl adopt")
        }
        guard id.isOn(node: topology.node) else {
            throw RequestError(.unavailable, "volume \(id) belongs to another node than \(topology.node)")
        }
    }

    /// Stores every two seconds how far the erasure came, so that a restart goes on from there.
    private func erasure(of record: VolumeRecord, _ id: VolumeID, _ isTouched: OnceFlag) -> Erasure {
        let clock = ContinuousClock()
        let stored = Mutex(clock.now)
        return Erasure(start: record.erased) { [records, logger, shutdown] done in
            isTouched.set()
            let isDue = stored.withLock { stored in
                guard shutdown.isSet || clock.now - stored >= .seconds(2) else { return false }
                stored = clock.now
                return true
            }
            guard isDue else { return true }
            var record = record
            record.erased = done
            logger.info(
                "erasing",
                metadata: ["volume": "\(id)", "done": "\(done)", "left": "\(record.size - min(done, record.size))"])
            do {
                try records.save(record)
            } catch {
                logger.warning("cannot store the progress of an erasure", metadata: ["error": "\(error)"])
            }
            return !shutdown.isSet
        }
    }
}

// Publication.
extension LocalPool {
    package func publish(_ id: VolumeID, _ publication: VolumeRecord.Publication) async throws {
        guard var record = try records.record(id), record.phase == .ready else {
            throw RequestError(.notFound, "volume \(id) does not exist")
        }
        guard publication.node == topology.node else {
            throw RequestError(
                .notFound, "node \"\(publication.node)\" does not exist; this driver serves \(topology.node)")
        }
        guard record.publication != publication else { return }
        if record.publication != nil {
            throw RequestError(
                .alreadyExists,
                "volume \(id) is published to node \(publication.node) in another way; unpublish it first")
        }
        record.publication = publication
        try await save(record)
    }

    package func unpublish(_ id: VolumeID, node: String?) async throws {
        guard var record = try records.record(id), let publication = record.publication else { return }
        guard node == nil || node == publication.node else { return }
        record.publication = nil
        try await save(record)
    }
}
