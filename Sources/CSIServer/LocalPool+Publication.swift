package import DeviceManager

// To which node the volume was given; on disk, since Kubernetes asks again after any restart.
extension LocalPool {
    package func publish(_ id: VolumeID, _ request: PublishRequest) async throws -> [String: String] {
        let publication = request.publication
        var record = try usable(id)
        guard publication.node == topology.node else {
            throw RequestError(
                .notFound, "node \"\(publication.node)\" does not exist; this driver serves \(topology.node)")
        }
        guard record.publication != publication else { return [:] }
        if record.publication != nil {
            throw RequestError(
                .alreadyExists,
                "volume \(id) is published to node \(publication.node) in another way; unpublish it first")
        }
        guard record.phase == .ready else {
            try await allocate(record, id, for: publication)
            return [:]
        }
        record.publication = publication
        try await save(record)
        return [:]
    }

    package func unpublish(_ id: VolumeID, node: String?) async throws {
        guard var record = try records.record(id), let publication = record.publication else { return }
        guard node == nil || node == publication.node else { return }
        record.publication = nil
        try await save(record)
    }
}
