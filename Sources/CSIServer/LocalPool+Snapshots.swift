package import DeviceManager

// Snapshots: devices with a record of their own, which depend on no volume, nor any volume on them.
extension LocalPool {
    private func id(forSnapshot name: String) -> VolumeID { VolumeID(snapshot: name, node: topology.node) }

    package func key(forSnapshot name: String) -> String { id(forSnapshot: name).rawValue }

    package func createSnapshot(_ request: SnapshotRequest) async throws -> VolumeRecord {
        let id = id(forSnapshot: request.name)
        let source = VolumeRecord.Source.volume(request.volume)
        let record = try records.record(id)
        if let record, try isMade(record) {
            guard record.name.isEmpty || record.name == request.name else { throw differs(record, in: "name") }
            guard record.source == source else { throw differs(record, in: "source_volume_id") }
            return record
        }
        try await makeWay(for: id, record)
        let original = try await original(source)
        let spec = VolumeSpec(
            id: id, name: request.name, size: SizeRange(required: original.size), parameters: original.parameters,
            kind: .snapshot, source: source)
        return try await make(spec, [], from: original)
    }

    package func deleteSnapshot(_ id: VolumeID) async throws { try await delete(id, kind: .snapshot) }

    package func snapshot(_ id: VolumeID) throws -> VolumeRecord? {
        guard let record = try records.record(id), record.kind == .snapshot, record.phase != .creating else {
            return nil
        }
        return record
    }

    package func snapshots(
        source: String?, after id: VolumeID?, limit: Int
    ) -> (volumes: [VolumeRecord], hasMore: Bool) {
        let all = records.all.filter { record in
            record.kind == .snapshot && record.phase != .creating && (source == nil || record.source?.id == source)
        }
        return all.page(after: id, limit: limit)
    }
}
