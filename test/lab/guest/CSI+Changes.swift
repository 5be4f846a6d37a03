import CSIProto
import GRPCCore
import SwiftProtobuf

/// The calls that change a volume or copy it.
extension CSI {
    @discardableResult
    func expand(_ id: String, to bytes: UInt64) async throws -> Csi_V1_ControllerExpandVolumeResponse {
        let request = Csi_V1_ControllerExpandVolumeRequest.with {
            $0.volumeID = id
            $0.capacityRange.requiredBytes = Int64(bytes)
        }
        return try await controller { try await $0.controllerExpandVolume(request, options: Self.options) }
    }

    func modify(_ id: String, _ parameters: [String: String]) async throws {
        let request = Csi_V1_ControllerModifyVolumeRequest.with {
            ($0.volumeID, $0.mutableParameters) = (id, parameters)
        }
        _ = try await controller { try await $0.controllerModifyVolume(request, options: Self.options) }
    }

    @discardableResult
    func createSnapshot(_ name: String, of volume: String) async throws -> Csi_V1_Snapshot {
        let request = Csi_V1_CreateSnapshotRequest.with { ($0.name, $0.sourceVolumeID) = (name, volume) }
        return try await controller { try await $0.createSnapshot(request, options: Self.options).snapshot }
    }

    func deleteSnapshot(_ id: String) async throws {
        _ = try await controller { try await $0.deleteSnapshot(.with { $0.snapshotID = id }, options: Self.options) }
    }

    func snapshotIDs() async throws -> [String] {
        try await controller { try await $0.listSnapshots(.init(), options: Self.options) }.entries
            .map(\.snapshot.snapshotID)
    }

    func thinCapacity() async throws -> Csi_V1_GetCapacityResponse {
        let request = Csi_V1_GetCapacityRequest.with { $0.parameters = ["provisioning": "thin"] }
        return try await controller { try await $0.getCapacity(request, options: Self.options) }
    }
}

extension Volume {
    func nodeExpand() async throws {
        let request = Csi_V1_NodeExpandVolumeRequest.with {
            ($0.volumeID, $0.volumePath, $0.stagingTargetPath) = (id, targetPath, stagePath)
            $0.volumeCapability = capability(type: spec.type)
        }
        _ = try await csi.node { try await $0.nodeExpandVolume(request, options: CSI.options) }
    }

    /// The spec of a volume that begins with this one's content.
    func clone(_ name: String, size: UInt64? = nil) -> VolumeSpec {
        copy(name, size, from: .with { $0.volume.volumeID = id })
    }

    func restore(_ snapshot: String, as name: String, size: UInt64? = nil) -> VolumeSpec {
        copy(name, size, from: .with { $0.snapshot.snapshotID = snapshot })
    }

    private func copy(_ name: String, _ size: UInt64?, from source: Csi_V1_VolumeContentSource) -> VolumeSpec {
        var copy = spec
        (copy.name, copy.size, copy.source) = (name, size ?? bytes, source)
        return copy
    }

    /// Takes it up once, to leave a file in it.
    func write(_ text: String) async throws {
        try await up()
        try Kernel.write(text, to: "\(targetPath)/file")
        try await down()
    }

    /// The file that `write` left, and the size of the file system.
    func read() async throws -> (text: String, size: UInt64) {
        try await up()
        let found = (try Kernel.read("\(targetPath)/file"), try Kernel.size(ofFileSystemAt: targetPath))
        try await down()
        return found
    }
}

/// A snapshot for the length of the body; afterwards nothing is left of it.
func withSnapshot<R>(_ name: String, of volume: Volume, _ body: (String) async throws -> R) async throws -> R {
    let id = try await volume.csi.createSnapshot(name, of: volume.id).snapshotID
    let result: Result<R, any Error>
    do { result = .success(try await body(id)) } catch { result = .failure(error) }
    try await volume.csi.deleteSnapshot(id)
    return try result.get()
}
