import CSIProto
import GRPCCore
import Registry
import SwiftProtobuf

/// Calls the driver, over a connection of its own each time: a step may kill the driver between any two.
struct CSI: Sendable {
    /// The driver bounds its own work; this only keeps a hanging one from hanging the table.
    static let options: CallOptions = {
        var options = CallOptions.defaults
        options.timeout = .seconds(120)
        return options
    }()

    func identity<R: Sendable>(_ body: (any Csi_V1_Identity.ClientProtocol) async throws -> R) async throws -> R {
        try await withClient(to: Endpoint(unix: Driver.socket)) { client in
            try await body(Csi_V1_Identity.Client(wrapping: client))
        }
    }

    func controller<R: Sendable>(_ body: (any Csi_V1_Controller.ClientProtocol) async throws -> R) async throws -> R {
        try await withClient(to: Endpoint(unix: Driver.socket)) { client in
            try await body(Csi_V1_Controller.Client(wrapping: client))
        }
    }

    func node<R: Sendable>(_ body: (any Csi_V1_Node.ClientProtocol) async throws -> R) async throws -> R {
        try await withClient(to: Endpoint(unix: Driver.socket)) { client in
            try await body(Csi_V1_Node.Client(wrapping: client))
        }
    }

    func isReady() async -> Bool {
        guard Kernel.exists(Driver.socket) else { return false }
        let answer = try? await identity { try await $0.probe(.init(), options: Self.options) }
        return answer?.ready.value == true
    }

    @discardableResult
    func create(_ request: Csi_V1_CreateVolumeRequest) async throws -> Csi_V1_Volume {
        try await controller { try await $0.createVolume(request, options: Self.options).volume }
    }

    func create(_ spec: VolumeSpec) async throws -> Csi_V1_Volume {
        try await create(spec.request)
    }

    func delete(_ id: String, secrets: [String: String] = [:]) async throws {
        _ = try await controller {
            try await $0.deleteVolume(.with { ($0.volumeID, $0.secrets) = (id, secrets) }, options: Self.options)
        }
    }

    func list(_ request: Csi_V1_ListVolumesRequest = .init()) async throws -> Csi_V1_ListVolumesResponse {
        try await controller { try await $0.listVolumes(request, options: Self.options) }
    }

    /// The ids of all volumes, in order.
    func ids() async throws -> [String] {
        try await list().entries.map(\.volume.volumeID).sorted()
    }

    func capacity(mode: String = "fsdax") async throws -> Csi_V1_GetCapacityResponse {
        let request = Csi_V1_GetCapacityRequest.with { $0.parameters = ["nsmode": mode] }
        return try await controller { try await $0.getCapacity(request, options: Self.options) }
    }

    func free(mode: String = "fsdax") async throws -> UInt64 {
        UInt64(try await capacity(mode: mode).availableCapacity)
    }
}

/// What a mount is asked for.
func capability(
    _ mode: Csi_V1_VolumeCapability.AccessMode.Mode = .singleNodeWriter, type: String = "ext4", flags: [String] = []
) -> Csi_V1_VolumeCapability {
    .with {
        $0.mount.fsType = type
        $0.mount.mountFlags = flags
        $0.accessMode.mode = mode
    }
}
