package import DeviceManager

// Changes of a volume that exists.
extension LocalPool {
    package func expand(_ id: VolumeID, to size: SizeRange) async throws -> VolumeRecord {
        let record = try usable(id)
        try size.checkLimit(for: id, of: record.size)
        guard record.phase == .ready else { return try await growPromise(record, id, to: size) }
        guard record.expandedFrom != nil || record.size < size.required else { return record }
        return try await grow(record, id, to: size)
    }

    /// Ends an expansion that was cut off, with the size that the device got; whoever uses the device calls this first.
    ///
    /// What was added may not have been zeroed yet, which must not come after somebody wrote there.
    func finishExpansion(_ record: VolumeRecord) async throws -> VolumeRecord {
        guard record.expandedFrom != nil, let id = VolumeID(record.id), let location = record.location,
            let volume = try await manager.volume(id, location: location)
        else { return record }
        return try await grow(record, id, to: SizeRange(required: volume.size))
    }

    private func grow(_ record: VolumeRecord, _ id: VolumeID, to size: SizeRange) async throws -> VolumeRecord {
        guard let expanding else {
            throw RequestError(.unimplemented, "volume \(id): volumes of this driver cannot grow")
        }
        var record = record
        let location = try await location(of: record, id)
        let oldSize = record.expandedFrom ?? record.size
        record.location = location
        record.expandedFrom = oldSize
        try await save(record)
        do {
            let isRaw = record.format == .block
            record.become(try await expanding.expand(id, location: location, to: size, from: oldSize, isRaw: isRaw))
        } catch {
            try? await forgetExpansion(record, id, after: error)
            throw error
        }
        record.expandedFrom = nil
        try await save(record)
        return record
    }

    /// Refused, and nothing came of it: the volume is what it was.
    private func forgetExpansion(_ record: VolumeRecord, _ id: VolumeID, after error: DeviceError) async throws {
        let refusals: [DeviceError.Code] = [.notEnoughSpace, .outOfRange, .failedPrecondition, .inUse]
        guard refusals.contains(error.code),
            try await manager.volume(id, location: record.location)?.size == record.expandedFrom
        else { return }
        var record = record
        record.expandedFrom = nil
        try await save(record)
    }

    /// The changes are those that `MutableParameters` let through; a repetition tells the backend again.
    package func modify(_ id: VolumeID, _ changes: MutableParameters) async throws {
        var record = try usable(id)
        let before = record.parameters
        try record.parameters.apply(changes.values)
        guard record.phase == .ready else { return try await save(record) }
        let location = try await location(of: record, id)
        if record.parameters != before { try await save(record) }
        try await manager.update(id, location: location, parameters: record.parameters)
    }
}
