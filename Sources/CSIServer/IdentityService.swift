package import CSIProto
package import GRPCCore
import SwiftProtobuf

/// Who this plugin is and whether it works (CSI section "Identity Service RPC").
package struct IdentityService: Csi_V1_Identity.SimpleServiceProtocol {
    private let name: String
    private let version: String
    private let pool: any VolumePool

    package init(name: String, version: String, pool: any VolumePool) {
        self.name = name
        self.version = version
        self.pool = pool
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
            response.capabilities = [.controllerService, .volumeAccessibilityConstraints].map { type in
                .with { $0.service.type = type }
            }
            if pool.canExpand { response.capabilities.append(.with { $0.volumeExpansion.type = .online }) }
        }
    }

    /// Not ready while starting; FAILED_PRECONDITION when the device manager does not work.
    package func probe(request: Csi_V1_ProbeRequest, context: ServerContext) async throws -> Csi_V1_ProbeResponse {
        switch pool.readiness {
        case .ready: return .with { $0.ready = .init(true) }
        case .starting: return .with { $0.ready = .init(false) }
        case .failed(let reason):
            throw RequestError(.failedPrecondition, "the device manager does not work: \(reason)")
        }
    }
}
