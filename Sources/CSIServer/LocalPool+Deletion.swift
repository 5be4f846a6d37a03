package import DeviceManager
import Logging

// Deletion: record `deleting`, erase, remove the device, remove the record.
extension LocalPool {
    package func delete(_ id: VolumeID) async throws { try await delete(id, kind: .volume) }

    func delete(_ id: VolumeID, kind: VolumeRecord.Kind) async throws {
        guard let record = try records.record(id) else { return try await checkAbsent(id) }
        // What is of another kind has an id that nothing of this kind ever had.
        guard record.kind == kind else { return }
        try await remove(record, id)
    }

    func remove(_ record: VolumeRecord, _ id: VolumeID) async throws {
        if let publication = record.publication {
            throw RequestError(
                .failedPrecondition, "volume \(id) is published to node \(publication.node); unpublish it first")
        }
        guard record.phase != .creating else { return try await discard(record, id) }
        guard record.phase != .promised else { return try await withdraw(record, id) }
        var record = record
        let location = try await location(of: record, id)
        // Before the record says `deleting`: after a crash that is carried out without asking anybody.
        if record.phase == .ready { try await manager.checkUnused(id, location: location) }
        record.location = location
        record.phase = .deleting
        try await save(record)
        let isTouched = OnceFlag(record.erased > 0)
        let work = record.parameters.eraseAfter ? LongWork(.erase, record, total: record.size, in: self) : nil
        defer { work?.end() }
        do {
            let erasure: Erasure? = if let work { erasure(of: record, work, isTouched) } else { nil }
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
    func erasure(of record: VolumeRecord, _ work: LongWork, _ isTouched: OnceFlag = OnceFlag()) -> Erasure {
        Erasure(start: record.erased) { [records, logger, shutdown] done in
            isTouched.set()
            guard work.update(done) || shutdown.isSet else { return true }
            var record = record
            record.erased = done
            do {
                try records.save(record)
            } catch {
                logger.warning("cannot store the progress of an erasure", metadata: ["error": "\(error)"])
            }
            return !shutdown.isSet
        }
    }
}
