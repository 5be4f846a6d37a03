package import DeviceManager
import FoundationEssentials
import Logging

// Creation: record, device, record; of volumes, ephemeral volumes and snapshots, empty or with a source.
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
        try await makeWay(for: id, record)
        let original: VolumeRecord? =
            if let source = request.source { try await self.original(source, for: request) } else { nil }
        let spec = VolumeSpec(
            id: id, name: request.name, size: try request.size(from: original), parameters: request.parameters,
            source: request.source)
        if request.parameters.allocation == .publish { return try await promise(spec, request.capabilities) }
        return try await make(spec, request.capabilities, from: original)
    }

    /// Takes back what an earlier call left that was cut off before its volume was ever handed out.
    func makeWay(for id: VolumeID, _ record: VolumeRecord?) async throws {
        if let record { try await discard(record, id) }
        // Nothing else is asked: another manager that cannot be reached must not stop this one.
        guard let stray = try await own.volume(id, location: nil) else { return }
        throw RequestError(
            .failedPrecondition,
            "volume \(id) exists in \(stray.location) without a record; rebuild the record with csictl adopt, or remove the volume"
        )
    }

    func make(
        _ spec: VolumeSpec, _ capabilities: [String], from original: VolumeRecord? = nil, attempts: Int = 3
    ) async throws -> VolumeRecord {
        let location = try await manager.place(spec)
        var record = VolumeRecord(
            spec: spec, capabilities: capabilities, location: location, created: Date().timeIntervalSince1970)
        try await save(record)
        do {
            if let original {
                try await copy(original, to: spec, &record)
            } else {
                record.become(try await manager.create(spec, at: location))
            }
        } catch {
            try await forget(spec.id, after: error)
            // Another creation took the room there; elsewhere there may be some.
            guard error.code == .notEnoughSpace, attempts > 1 else { throw error }
            return try await make(spec, capabilities, from: original, attempts: attempts - 1)
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

    /// Drops the record of a creation that failed; one whose device could not be taken back, or whose source is still
    /// frozen, stays for the next time.
    private func forget(_ id: VolumeID, after error: DeviceError) async throws {
        guard let record = try records.record(id) else { return }
        do {
            try await thawSource(of: record)
        } catch let second {
            logger.error("a file system may still be frozen", metadata: ["for": "\(id)", "error": "\(second)"])
            return
        }
        let isAbsent = (try? await manager.volume(id, location: record.location) == nil) ?? false
        guard error.code == .alreadyExists || isAbsent else { return }
        try await blockingDevice { [records] in try records.remove(id) }
    }

    /// Takes back a creation that was never answered: a freeze, the device, then the record.
    func discard(_ record: VolumeRecord, _ id: VolumeID) async throws {
        try await thawSource(of: record)
        if let location = record.location {
            let work = record.mayHoldCopy ? LongWork(.erase, record, total: record.size, in: self) : nil
            defer { work?.end() }
            let erasure: Erasure? = if let work { erasure(of: record, work) } else { nil }
            try await manager.discard(id, location: location, erasure: erasure)
        }
        try await blockingDevice { [records] in try records.remove(id) }
    }

    /// The volume that an earlier call of the same name made, if it is what this request wants; nil when it was cut off.
    private func existing(_ record: VolumeRecord, for request: CreateRequest) throws -> VolumeRecord? {
        guard try isMade(record) else { return nil }
        let difference: String? =
            if !record.name.isEmpty && record.name != request.name {
                "name"
            } else if record.source != request.source {
                "volume_content_source"
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
        if let difference { throw differs(record, in: difference) }
        return record
    }

    /// Whether an earlier creation came to its end.
    func isMade(_ record: VolumeRecord) throws(RequestError) -> Bool {
        switch record.phase {
        case .creating: false
        case .deleting: throw RequestError(.aborted, "\(record.title) is being deleted; try again when it is gone")
        case .ready, .promised: true
        }
    }

    func differs(_ record: VolumeRecord, in difference: String) -> RequestError {
        RequestError(
            .alreadyExists, "\(record.title) of the same name exists and differs in \(difference); use another name")
    }
}

extension VolumeRecord {
    /// Whether what a creation that was cut off left has to be overwritten.
    var mayHoldCopy: Bool { phase == .creating && source != nil && parameters.eraseAfter }

    mutating func become(_ volume: Volume) {
        size = volume.size
        location = volume.location
    }
}
