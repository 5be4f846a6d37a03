import DeviceManager
import Host

/// NodeStageVolume for one volume of this machine: attach, then all that `DeviceStaging` does.
///
/// Also mounts ephemeral volumes, which have no staging path. Made for one call, which holds the volume's place in the
/// gate.
struct Staging {
    let pool: LocalPool
    let record: VolumeRecord
    let id: VolumeID
    let location: String

    /// Ends first what was cut off while the volume grew.
    init(pool: LocalPool, record: VolumeRecord) async throws {
        guard let id = VolumeID(record.id), let location = record.location else {
            throw RequestError(.failedPrecondition, "volume \(record.id) has no device")
        }
        self.pool = pool
        self.record = try await pool.finishExpansion(record)
        self.id = id
        self.location = location
    }

    func stage(at path: String, readOnly: Bool = false, _ capability: VolumeCapability) async throws {
        let wasAttached = try await pool.manager.device(id, location: location) != nil
        let device = try await pool.manager.attach(id, location: location)
        do {
            guard let volume = try await VolumeDevice(of: record, in: pool.manager) else { return }
            let staging = DeviceStaging(
                volume: volume, device: BlockDevice(path: device), format: record.format,
                hasDAX: record.parameters.hasDAX, mayBeCopy: record.source != nil
            ) { [pool, record] format in
                var record = record
                record.format = format
                try await pool.save(record)
            }
            try await staging.stage(at: path, readOnly: readOnly, capability)
        } catch {
            // Nothing came of it, so nothing of it stays; what is used after all the device manager leaves alone.
            if !wasAttached { try? await pool.manager.detach(id, location: location) }
            throw error
        }
    }
}
