import CSIProto
package import DeviceManager
import GRPCCore
import Registry
import SwiftProtobuf

// Snapshots: each on the node of its volume.
extension ClusterPool {
    package func createSnapshot(_ request: SnapshotRequest) async throws -> VolumeRecord {
        guard let volume = VolumeID(request.volume) else {
            throw RequestError(.notFound, "volume \"\(request.volume)\" does not exist")
        }
        // On another node nobody would notice that the name is taken.
        let source = VolumeRecord.Source.volume(request.volume)
        if let other = index.snapshots(named: request.name).first(where: { $0.source != source }) {
            throw RequestError(
                .alreadyExists,
                "snapshot \(other.id) of the same name exists and is of volume \(other.source?.id ?? "")")
        }
        let node = try present(volume)
        let message = Csi_V1_CreateSnapshotRequest.with {
            $0.name = request.name
            $0.sourceVolumeID = request.volume
        }
        let answer = try await nodes.call(node) { try await $0.createSnapshot(message, options: $1) }
        guard let snapshot = IndexedVolume(answer.snapshot, node: node.id, defaults: defaultParameters) else {
            throw NodeError(
                .open(isLate: false), "node \(node.id) answered with the id \"\(answer.snapshot.snapshotID)\"")
        }
        index.put(snapshot)
        return snapshot.record
    }

    package func deleteSnapshot(_ id: VolumeID) async throws {
        switch owner(of: id) {
        case .forgotten: return
        case .away(let node): throw away(id, node)
        case .node(let node):
            try await change(id, on: node) { client, options in
                _ = try await client.deleteSnapshot(.with { $0.snapshotID = id.rawValue }, options: options)
            } apply: {
                index.remove(id)
            }
        }
    }

    package func snapshot(_ id: VolumeID) async throws -> VolumeRecord? {
        switch owner(of: id) {
        case .forgotten: return nil
        case .away(let node):
            guard let entry = index.entry(id), entry.kind == .snapshot else { throw away(id, node) }
            return entry.record
        case .node(let node):
            do {
                let answer = try await nodes.call(node) { client, options in
                    try await client.getSnapshot(.with { $0.snapshotID = id.rawValue }, options: options)
                }
                return IndexedVolume(answer.snapshot, node: node.id, defaults: defaultParameters)?.record
            } catch let error as NodeError where error.outcome == .answered(.notFound) {
                return nil
            }
        }
    }

    package func snapshots(
        source: String?, after id: VolumeID?, limit: Int
    ) -> (volumes: [VolumeRecord], hasMore: Bool) {
        page(after: id, limit: limit) { $0.kind == .snapshot && (source == nil || $0.source?.id == source) }
    }
}
