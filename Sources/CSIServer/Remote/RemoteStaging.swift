import CSIProto
import DeviceManager
import Host
import Logging

/// NodeStageVolume for a volume of a storage target: connect, then all that `DeviceStaging` does.
///
/// Made for one call, which holds the volume's place in the gate.
struct RemoteStaging {
    let node: RemoteNode
    let volume: RemoteVolume

    func stage(at path: String, _ capability: VolumeCapability) async throws {
        let before = try node.attachments.record(volume.id)
        let record = try await node.attachments.attach(volume, stagingPath: path)
        do {
            let device = try await node.device(of: record)
            guard let block = device.path.map(BlockDevice.init) else {
                throw RequestError(.unavailable, "volume \(volume.id): its device is not here")
            }
            let isShared = capability.mode == .multiNodeReaderOnly
            let readOnly = isShared || volume.isReadOnly
            let staging = DeviceStaging(
                volume: device, device: block, format: record.format, mayBeCopy: true, isShared: isShared,
                mayFormat: !readOnly,
                lane: .remote, save: save)
            try await staging.stage(at: path, readOnly: readOnly, capability)
            try await finish()
        } catch {
            if before?.phase != .attached || record.phase != .attached { await takeBack() }
            throw error
        }
    }

    private func save(_ format: VolumeRecord.Format) async throws {
        guard var record = try node.attachments.record(volume.id) else { return }
        record.format = format
        try await node.attachments.save(record)
    }

    private func finish() async throws {
        guard var record = try node.attachments.record(volume.id), record.phase != .attached else { return }
        record.phase = .attached
        try await node.attachments.save(record)
    }

    /// Nothing came of it, so nothing of it stays, unless it is used after all.
    private func takeBack() async {
        do {
            guard let record = try node.attachments.record(volume.id) else { return }
            try await node.attachments.detach(record)
        } catch {
            node.logger.warning(
                "a volume that could not be staged is not detached either",
                metadata: ["volume": "\(volume.id)", "error": "\(error)"])
        }
    }
}
