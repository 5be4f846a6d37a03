import CSIProto
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import SwiftProtobuf

/// Something that a driver may offer or not.
enum Feature: Hashable, Sendable, CustomStringConvertible {
    case plugin(Csi_V1_PluginCapability.Service.TypeEnum)
    case controller(Csi_V1_ControllerServiceCapability.RPC.TypeEnum)
    case node(Csi_V1_NodeServiceCapability.RPC.TypeEnum)
    /// Growing while it is in use.
    case onlineExpansion
    case maximumSize
    // The specification has no capability for these; they are tried.
    case block, ephemeral, mountedSnapshot
    case filesystem(String)
    /// The caller's, not the driver's: its log, a parameter that can be modified.
    case log, mutableParameter

    static let attach = Feature.controller(.publishUnpublishVolume)
    static let snapshots = Feature.controller(.createDeleteSnapshot)
    static let clones = Feature.controller(.cloneVolume)
    static let expansion = Feature.controller(.expandVolume)
    static let list = Feature.controller(.listVolumes)
    static let capacity = Feature.controller(.getCapacity)
    static let getVolume = Feature.controller(.getVolume)
    static let stage = Feature.node(.stageUnstageVolume)
    static let stats = Feature.node(.getVolumeStats)
    static let topology = Feature.plugin(.volumeAccessibilityConstraints)

    var description: String {
        switch self {
        case .plugin(let type): "plugin \(type)"
        case .controller(let type): "controller \(type)"
        case .node(let type): "node \(type)"
        case .filesystem(let type): type
        case .onlineExpansion: "online expansion"
        case .maximumSize: "maximum_volume_size"
        case .block: "block"
        case .ephemeral: "ephemeral"
        case .mountedSnapshot: "snapshots of mounted volumes"
        case .log: "-log"
        case .mutableParameter: "-mutable"
        }
    }
}

/// What the driver says of itself, read once before all checks.
struct Facts: Sendable {
    let plugin: Csi_V1_GetPluginInfoResponse
    let node: Csi_V1_NodeGetInfoResponse
    let offered: Set<Feature>

    init(of client: Clients) async throws {
        plugin = try await client.send(Csi_V1_GetPluginInfoRequest())
        var offered: Set<Feature> = []
        for capability in try await client.send(Csi_V1_GetPluginCapabilitiesRequest()).capabilities {
            switch capability.type {
            case .service(let service): offered.insert(.plugin(service.type))
            case .volumeExpansion(let expansion): if expansion.type == .online { offered.insert(.onlineExpansion) }
            case nil: break
            }
        }
        for capability in try await client.send(Csi_V1_NodeGetCapabilitiesRequest()).capabilities {
            offered.insert(.node(capability.rpc.type))
        }
        if offered.contains(.plugin(.controllerService)) {
            for capability in try await client.send(Csi_V1_ControllerGetCapabilitiesRequest()).capabilities {
                offered.insert(.controller(capability.rpc.type))
            }
        }
        if offered.contains(.capacity) {
            let capacity = try await client.send(Csi_V1_GetCapacityRequest())
            if capacity.hasMaximumVolumeSize { offered.insert(.maximumSize) }
        }
        self.offered = offered
        node = try await client.send(Csi_V1_NodeGetInfoRequest())
    }
}
