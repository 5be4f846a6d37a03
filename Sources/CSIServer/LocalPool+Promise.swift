import DeviceManager
import FoundationEssentials
import Logging

// Late allocation: a volume that is promised has a record and its room, and no device until it is first published.
extension LocalPool {
    func promise(_ spec: VolumeSpec, _ capabilities: [String]) async throws -> VolumeRecord {
        guard spec.source == nil else {
            throw RequestError(
                .invalidArgument,
                "parameters: allocation publish and volume_content_source exclude each other: a copy is made at once")
        }
        let location = try await manager.place(spec)
        let volume = try await manager.promise(spec, at: location)
        var record = VolumeRecord(
            spec: spec, capabilities: capabilities, location: location, created: Date().timeIntervalSince1970)
        record.become(volume)
        record.phase = .promised
        do {
            try await save(record)
        } catch {
            await manager.release(spec.id)
            throw error
        }
        return record
    }

    /// Makes the device; the volume stays promised if that fails, or is cut off.
    func allocate(_ record: VolumeRecord, _ id: VolumeID, for publication: VolumeRecord.Publication) async throws {
        guard let location = record.location else { return }
        var record = record
        let spec = record.promisedSpec(id)
        // What a publication left that was cut off.
        if try await manager.volume(id, location: location) != nil {
            try await manager.discard(id, location: location, erasure: nil)
        }
        do {
            record.become(try await manager.create(spec, at: location))
            record.phase = .ready
            record.publication = publication
            try await save(record)
        } catch {
            try? await manager.discard(id, location: location, erasure: nil)
            await keepPromise(spec, location)
            throw error
        }
    }

    /// Takes the promise back, with what a publication left that was cut off.
    func withdraw(_ record: VolumeRecord, _ id: VolumeID) async throws {
        if let location = record.location { try await manager.discard(id, location: location, erasure: nil) }
        await manager.release(id)
        try await blockingDevice { [records] in try records.remove(id) }
    }

    /// A larger promise, or the one that there was.
    func growPromise(_ record: VolumeRecord, _ id: VolumeID, to size: SizeRange) async throws -> VolumeRecord {
        guard record.size < size.required, let location = record.location else { return record }
        var grown = record
        do {
            grown.become(try await manager.promise(record.promisedSpec(id, size), at: location))
            try await save(grown)
        } catch {
            await keepPromise(record.promisedSpec(id), location)
            throw error
        }
        return grown
    }

    /// After a start, before anything else can take the room.
    func renewPromise(_ record: VolumeRecord) async {
        guard let id = VolumeID(record.id), let location = record.location else { return }
        do {
            try await manager.discard(id, location: location, erasure: nil)
        } catch {
            logger.error(
                "a publication that was cut off is not taken back", metadata: ["volume": "\(id)", "error": "\(error)"])
        }
        await keepPromise(record.promisedSpec(id), location)
    }

    private func keepPromise(_ spec: VolumeSpec, _ location: String) async {
        do {
            _ = try await manager.promise(spec, at: location)
        } catch {
            logger.error(
                "the room for a promised volume is not there", metadata: ["volume": "\(spec.id)", "error": "\(error)"])
        }
    }
}

extension VolumeRecord {
    fileprivate func promisedSpec(_ id: VolumeID, _ size: SizeRange? = nil) -> VolumeSpec {
        VolumeSpec(id: id, name: name, size: size ?? SizeRange(required: self.size), parameters: parameters)
    }
}
