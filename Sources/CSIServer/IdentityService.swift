package import CSIProto
package import GRPCCore
import SwiftProtobuf

/// Who this plugin is and whether it works (CSI section "Identity Service RPC").
package struct IdentityService: Csi_V1_Identity.SimpleServiceProtocol {
    private let name: String
    private let version: String
    private let capabilities: [Csi_V1_PluginCapability.Service.TypeEnum]
    private let canExpand: Bool
    private let readiness: @Sendable () -> Readiness

    package init(name: String, version: String, pool: any VolumePool) {
        self.name = name
        self.version = version
        capabilities = [.controllerService] + (pool.reach == .node ? [.volumeAccessibilityConstraints] : [])
        canExpand = pool.canExpand
        readiness = { pool.readiness }
    }

    /// Of a node whose volumes are on storage targets: the capabilities are those of the whole deployment (CSI section
    /// "GetPluginCapabilities"), and every node reaches every volume.
    package init(name: String, version: String, node: RemoteNode) {
        self.name = name
        self.version = version
        capabilities = [.controllerService]
        canExpand = true
        readiness = { node.readiness }
    }

    package func getPluginInfo(
        request: Csi_V1_GetPluginInfoRequest, context: ServerContext
    ) async throws -> Csi_V1_GetPluginInfoResponse {
        .with {
            $0.name = name
            $0.vendorVersion = version
        }
    }

    package func getPluginCapabilities(
        request: Csi_V1_GetPluginCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_GetPluginCapabilitiesResponse {
        .with { response in
            response.capabilities = capabilities.map { type in .with { $0.service.type = type } }
            if canExpand { response.capabilities.append(.with { $0.volumeExpansion.type = .online }) }
        }
    }

    /// Not ready while starting; FAILED_PRECONDITION when the device manager does not work.
    package func probe(request: Csi_V1_ProbeRequest, context: ServerContext) async throws -> Csi_V1_ProbeResponse {
        switch readiness() {
        case .ready: return .with { $0.ready = .init(true) }
        case .starting: return .with { $0.ready = .init(false) }
        case .failed(let reason):
            throw RequestError(.failedPrecondition, "the device manager does not work: \(reason)")
        }
    }
}
