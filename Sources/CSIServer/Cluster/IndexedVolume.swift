import CSIProto
import DeviceManager
import SwiftProtobuf

/// What a controller keeps in memory about a volume or snapshot of some node: enough to find and to list it.
struct IndexedVolume: Sendable {
    let id: VolumeID
    let node: String
    let kind: VolumeRecord.Kind
    let name: String
    var size: UInt64
    var parameters: VolumeParameters
    var source: VolumeRecord.Source?
    /// Whether ControllerPublishVolume gave it to its node.
    var isPublished = false
    /// Seconds since 1970; of snapshots.
    var created: Double?
    var isReady = true

    /// As the node's CSI service told of it; nil where the id is none of ours.
    init?(_ message: Csi_V1_Volume, published: [String] = [], node: String, defaults: VolumeParameters) {
        guard let id = VolumeID(message.volumeID) else { return nil }
        var context = message.volumeContext
        self.id = id
        self.node = node
        kind = .volume
        name = context.removeValue(forKey: "name") ?? ""
        size = UInt64(clamping: message.capacityBytes)
        parameters = (try? VolumeParameters(context, defaults: defaults)) ?? defaults
        switch message.contentSource.type {
        case .snapshot(let source): self.source = .snapshot(source.snapshotID)
        case .volume(let source): self.source = .volume(source.volumeID)
        case nil: break
        }
        isPublished = !published.isEmpty
    }

    init?(_ message: Csi_V1_Snapshot, node: String, defaults: VolumeParameters) {
        guard let id = VolumeID(message.snapshotID) else { return nil }
        self.id = id
        self.node = node
        kind = .snapshot
        name = ""
        size = UInt64(clamping: message.sizeBytes)
        parameters = defaults
        source = .volume(message.sourceVolumeID)
        created = message.creationTime.timeIntervalSince1970
        isReady = message.readyToUse
    }

    /// In the form that the pools speak; of its publication only the node is known here.
    var record: VolumeRecord {
        let volume = Volume(id: id, size: size, location: node)
        var record = VolumeRecord(adopting: volume, name: name, parameters: parameters, kind: kind, source: source)
        record.created = created
        if isPublished { record.publication = .init(node: node, readOnly: false, capability: "") }
        if !isReady { record.phase = .deleting }
        return record
    }
}
