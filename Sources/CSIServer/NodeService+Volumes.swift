import DeviceManager

// Which volume an id of a node call means.
extension NodeService {
    /// A volume that CreateVolume made and that can be used; nil when there is none.
    func volume(_ text: String) throws -> VolumeRecord? {
        guard let id = VolumeID(text), let record = try pool.volume(id), record.kind == .volume else { return nil }
        guard record.phase != .promised else {
            throw RequestError(
                .failedPrecondition, "volume \(id) has no device until it is published; call ControllerPublishVolume")
        }
        return record.phase == .ready ? record : nil
    }

    /// The same, or an ephemeral volume, whose id Kubernetes made up.
    func volumeOfAnyKind(_ text: String) throws -> VolumeRecord {
        if let record = try volume(text) { return record }
        guard let record = try pool.volume(pool.ephemeralID(text)), record.kind == .ephemeral, record.phase == .ready
        else { throw notFound(text) }
        return record
    }

    func notFound(_ text: String) -> RequestError {
        RequestError(.notFound, "volume \"\(text)\" does not exist on node \(pool.topology.node)")
    }

    /// Whatever state the volume is in; nil when there is none of that id.
    func localVolume(_ text: String) async throws -> LocalVolume? {
        if let id = VolumeID(text), let volume = try await localVolume(id, .volume) { return volume }
        return try await localVolume(pool.ephemeralID(text), .ephemeral)
    }

    /// Of a volume whose record cannot be read the device manager knows the place, so its pods can still end.
    private func localVolume(_ id: VolumeID, _ kind: VolumeRecord.Kind) async throws -> LocalVolume? {
        let location: String
        do {
            guard let record = try pool.volume(id), record.kind == kind, let known = record.location else { return nil }
            location = known
        } catch let error as DeviceError where error.code == .failedPrecondition {
            guard let volume = try await pool.manager.volume(id, location: nil) else { return nil }
            location = volume.location
        }
        let path = try await pool.manager.device(id, location: location)
        return LocalVolume(id: id, location: location, device: VolumeDevice(id: id.rawValue, path: path))
    }
}

/// A volume of this machine, wherever in its life.
struct LocalVolume: Sendable {
    let id: VolumeID
    let location: String
    let device: VolumeDevice
}
