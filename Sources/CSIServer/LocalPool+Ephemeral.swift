import DeviceManager

// Volumes that live with one pod. Kubernetes chooses their CSI ids; the devices have ids of ours.
extension LocalPool {
    func ephemeralID(_ volumeID: String) -> VolumeID { VolumeID(ephemeral: volumeID, node: topology.node) }

    /// Makes the volume, or finds it as an earlier call made it.
    ///
    /// The caller holds `volumeID` in the gate. Throws `alreadyExists` when the earlier call wanted another volume.
    func createEphemeral(
        volumeID: String, size: SizeRange, parameters: VolumeParameters, capability: VolumeCapability
    ) async throws -> VolumeRecord {
        let id = ephemeralID(volumeID)
        let record = try records.record(id)
        if let record, try isMade(record) {
            guard size.contains(record.size), record.parameters == parameters, record.name == volumeID else {
                throw differs(record, in: "size or parameters")
            }
            return record
        }
        try await makeWay(for: id, record)
        let spec = VolumeSpec(id: id, name: volumeID, size: size, parameters: parameters, kind: .ephemeral)
        return try await make(spec, [capability.text])
    }

    /// Deletes the volume; one that is gone already is fine. The caller holds `volumeID` in the gate.
    func deleteEphemeral(volumeID: String) async throws {
        let id = ephemeralID(volumeID)
        guard let record = try records.record(id), record.kind == .ephemeral else { return }
        try await remove(record, id)
    }
}
