import CSIProto
import DeviceManager
import Host

/// An inline volume of a pod: NodePublishVolume makes, formats and mounts it, NodeUnpublishVolume deletes it.
///
/// Made for one NodePublishVolume, from what the pod says of it: `size`, and parameters as a StorageClass has them.
struct EphemeralVolume {
    private static let mark = "csi.storage.k8s.io/ephemeral"

    private let pool: LocalPool
    private let text: String
    private let target: String
    private let readOnly: Bool
    private let capability: VolumeCapability
    private let size: UInt64
    private let parameters: VolumeParameters

    static func isAsked(_ request: Csi_V1_NodePublishVolumeRequest) -> Bool {
        request.volumeContext[mark] == "true"
    }

    init(_ request: Csi_V1_NodePublishVolumeRequest, _ capability: VolumeCapability, pool: LocalPool) throws {
        guard capability.access != .block else {
            throw RequestError(.invalidArgument, "volume_capability: an inline volume has no raw block access")
        }
        var attributes = request.volumeContext
        guard let quantity = attributes.removeValue(forKey: "size") else {
            throw RequestError(
                .invalidArgument, "volume_context: an inline volume needs the attribute size, such as 100Mi")
        }
        guard let size = Quantity.bytes(quantity), size > 0 else {
            throw RequestError(
                .invalidArgument, "volume_context: size is \"\(quantity)\"; it can be a number of bytes such as 100Mi")
        }
        self.pool = pool
        self.size = size
        self.capability = capability
        text = request.volumeID
        target = request.targetPath
        readOnly = request.readonly || capability.isReadOnly
        parameters = try VolumeParameters(attributes, defaults: pool.defaultParameters)
    }

    /// What the gate knows its device by.
    var key: String { pool.ephemeralID(text).rawValue }

    func publish() async throws {
        if let id = VolumeID(text), try pool.volume(id) != nil {
            throw RequestError(.invalidArgument, "volume_id: \(text) is a volume already, and no inline one")
        }
        let isNew = try pool.volume(pool.ephemeralID(text)) == nil
        let record = try await pool.createEphemeral(
            volumeID: text, size: SizeRange(required: size), parameters: parameters, capability: capability)
        do {
            let target = target
            try await blockingDevice {
                guard try MountTable.current().at(target) == nil else { return }
                try Mounter.createMountPoint(directory: target)
            }
            try await Staging(pool: pool, record: record).stage(at: target, readOnly: readOnly, capability)
        } catch {
            // The pod may never ask again, and nothing was in the volume yet.
            if isNew { try? await pool.deleteEphemeral(volumeID: text) }
            try? await removeTarget()
            throw error
        }
    }

    /// Refused while anything is mounted or lies there.
    private func removeTarget() async throws {
        let target = target
        try await blockingDevice { try Mounter.removeMountPoint(target) }
    }
}
