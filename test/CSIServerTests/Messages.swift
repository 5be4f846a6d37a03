import CSIProto
import SwiftProtobuf

let mib: Int64 = 1 << 20

// Requests as the Kubernetes sidecars send them; tests change what they are about.

extension Csi_V1_VolumeCapability {
    static func mount(
        _ filesystem: String = "ext4", flags: [String] = [],
        _ mode: AccessMode.Mode = .singleNodeWriter
    ) -> Self {
        .with {
            $0.mount.fsType = filesystem
            $0.mount.mountFlags = flags
            $0.accessMode.mode = mode
        }
    }

    static func block(_ mode: AccessMode.Mode = .singleNodeWriter) -> Self {
        .with {
            $0.block = .init()
            $0.accessMode.mode = mode
        }
    }
}

extension Csi_V1_CreateVolumeRequest {
    static func volume(_ name: String, size: Int64 = 8 * mib, limit: Int64 = 0) -> Self {
        .with {
            $0.name = name
            $0.volumeCapabilities = [.mount()]
            $0.capacityRange.requiredBytes = size
            $0.capacityRange.limitBytes = limit
        }
    }

    func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }
}

extension Driver {
    @discardableResult
    func create(_ request: Csi_V1_CreateVolumeRequest) async throws -> Csi_V1_Volume {
        try await controller.createVolume(request).volume
    }

    @discardableResult
    func create(_ name: String, size: Int64 = 8 * mib) async throws -> Csi_V1_Volume {
        try await create(.volume(name, size: size))
    }

    func delete(_ id: String) async throws {
        _ = try await controller.deleteVolume(.with { $0.volumeID = id })
    }

    func publish(
        _ id: String, to node: String = "node-1", readOnly: Bool = false,
        _ capability: Csi_V1_VolumeCapability = .mount()
    ) async throws {
        _ = try await controller.controllerPublishVolume(
            .with {
                $0.volumeID = id
                $0.nodeID = node
                $0.readonly = readOnly
                $0.volumeCapability = capability
            })
    }

    func unpublish(_ id: String, from node: String = "node-1") async throws {
        _ = try await controller.controllerUnpublishVolume(
            .with {
                $0.volumeID = id
                $0.nodeID = node
            })
    }

    func list(_ limit: Int32 = 0, after token: String = "") async throws -> Csi_V1_ListVolumesResponse {
        try await controller.listVolumes(
            .with {
                $0.maxEntries = limit
                $0.startingToken = token
            })
    }

    func listedIDs() async throws -> [String] { try await list().entries.map(\.volume.volumeID) }

    func free(_ change: (inout Csi_V1_GetCapacityRequest) -> Void = { _ in }) async throws -> Int64 {
        var request = Csi_V1_GetCapacityRequest()
        change(&request)
        return try await controller.getCapacity(request).availableCapacity
    }

    func stage(_ id: String, at path: String, _ capability: Csi_V1_VolumeCapability = .mount()) async throws {
        _ = try await node.nodeStageVolume(
            .with {
                $0.volumeID = id
                $0.stagingTargetPath = path
                $0.volumeCapability = capability
            })
    }

    func unstage(_ id: String, at path: String) async throws {
        _ = try await node.nodeUnstageVolume(
            .with {
                $0.volumeID = id
                $0.stagingTargetPath = path
            })
    }

    func publish(
        _ id: String, from staging: String, at target: String, readOnly: Bool = false,
        _ capability: Csi_V1_VolumeCapability = .mount()
    ) async throws {
        _ = try await node.nodePublishVolume(
            .with {
                $0.volumeID = id
                $0.stagingTargetPath = staging
                $0.targetPath = target
                $0.readonly = readOnly
                $0.volumeCapability = capability
            })
    }

    func unpublish(_ id: String, at target: String) async throws {
        _ = try await node.nodeUnpublishVolume(
            .with {
                $0.volumeID = id
                $0.targetPath = target
            })
    }
}
