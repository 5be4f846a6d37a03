package import ClusterProto
import DeviceManager
package import GRPCCore
import Registry
import SwiftProtobuf

/// Shows a controller's nodes and gives up those that will never come back; for `csictl`, on the CSI socket.
package struct ClusterService: Pmemcsi_V0_Cluster.SimpleServiceProtocol {
    private let pool: ClusterPool

    package init(pool: ClusterPool) {
        self.pool = pool
    }

    package func listNodes(
        request: Pmemcsi_V0_ListNodesRequest, context: ServerContext
    ) async throws -> Pmemcsi_V0_ListNodesResponse {
        let known = pool.registry.all.map { node in
            let counts = pool.index.counts(node.id)
            return Pmemcsi_V0_Node.with {
                $0.nodeID = node.id
                $0.endpoint = "\(node.endpoint)"
                $0.state = node.isRegistered ? "registered" : "away"
                $0.volumes = Int64(counts.volumes)
                $0.snapshots = Int64(counts.snapshots)
                $0.availableBytes = Int64(clamping: pool.index.capacity(node.id)?.available ?? 0)
                $0.secondsSilent = node.lastSeen.duration(to: .now).components.seconds
            }
        }
        let forgotten = pool.state.forgotten.map { id in
            Pmemcsi_V0_Node.with {
                $0.nodeID = id
                $0.state = "forgotten"
            }
        }
        return .with { $0.nodes = known + forgotten }
    }

    package func forgetNode(
        request: Pmemcsi_V0_ForgetNodeRequest, context: ServerContext
    ) async throws -> Pmemcsi_V0_ForgetNodeResponse {
        let id = try FieldLimits.required(request.nodeID, "node_id", limit: FieldLimits.nodeID)
        let count = try await pool.forget(id)
        return .with { $0.volumes = Int64(count) }
    }
}
