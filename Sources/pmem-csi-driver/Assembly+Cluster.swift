import CSIServer
import FoundationEssentials
import Glibc
import Logging
import Registry
import ServiceLifecycle

// A controller and its nodes.
extension Assembly {
    /// Identity and Controller for the sidecars; the registry for nodes alone.
    func controllerServices(_ cluster: ClusterConfiguration) throws -> [any Service] {
        allowManyConnections()
        let identities = try Identities(cluster, self)
        let registry = NodeRegistry()
        let pool = ClusterPool(
            registry: registry,
            nodes: NodeCaller(
                security: identities.security(as: .client, to: .nodeController),
                interceptors: { [driverName = configuration.driverName] node in
                    [Self.peerCalls("pmem_csi_node_operations_seconds", driverName, node: node)]
                }),
            state: try ControllerState(directory: configuration.statePath), driverName: configuration.driverName,
            manager: makeManager(configuration.deviceManager), logger: logger)
        metrics.registerGauge(
            name: "pmem_nodes", help: "Nodes that are registered.",
            labels: [("driver_name", configuration.driverName)], simple: true
        ) { Double(registry.registeredCount) }
        let nodes = GRPCService(
            endpoint: cluster.registries[0],
            services: [
                RegistryService(registry: registry, logger: logger) { try await pool.read($0, known: $1) }
            ],
            interceptors: interceptors(), security: identities.security(as: .server, to: .nodeController),
            closed: { [logger] peer in
                guard let node = registry.connectionClosed(peer) else { return }
                logger.notice("lost the connection of a node", metadata: ["node": "\(node)"])
            }, logger: logger)
        let sidecars = server([
            identity(pool), ControllerService(pool: pool, gate: gate), ClusterService(pool: pool),
        ])
        return identities.services + [nodes, sidecars]
    }

    /// Identity and Node for kubelet; the controller calls for controllers alone.
    func nodeServices(_ cluster: ClusterConfiguration) throws -> [any Service] {
        let identities = try Identities(cluster, self)
        let pool = try makePool()
        let controller = GRPCService(
            endpoint: cluster.nodeController, services: [ControllerService(pool: pool, gate: gate)],
            interceptors: interceptors(acceptsRequestIDs: true),
            security: identities.security(as: .server, to: .registry), logger: logger)
        let registration = Registration(
            nodeID: configuration.nodeID, announced: { try await controller.listeningEndpoint },
            controllers: cluster.registries, security: identities.security(as: .client, to: .registry), volumes: pool,
            interceptors: [
                Self.peerCalls(
                    "pmem_csi_controller_operations_seconds", configuration.driverName, node: configuration.nodeID)
            ], logger: logger)
        let kubelet = server([
            identity(pool), NodeService(pool: pool, gate: gate), ProgressService(board: pool.board),
        ])
        // With volumes here, pods must be able to start again although no controller can be reached.
        let isNew = pool.isEmpty
        return identities.services + [
            Recovery(pool: pool, gate: gate), controller, registration,
            Opening(service: kubelet) { if isNew { await registration.firstSuccess() } },
        ]
    }

    /// `node` is the one that calls a controller, or that a controller calls.
    private static func peerCalls(_ label: String, _ driverName: String, node: String) -> PeerCallMetrics {
        PeerCallMetrics(label, dimensions: [("driver_name", driverName), ("node", node)])
    }

    /// A connection for each node is open all the time.
    private func allowManyConnections() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// What this process shows as a server and as a client, often the same.
private struct Identities {
    enum Role {
        case server, client
    }

    private let assembly: Assembly
    private let server: Credentials
    private let client: Credentials

    init(_ cluster: ClusterConfiguration, _ assembly: Assembly) throws {
        self.assembly = assembly
        server = try Credentials(cluster.server, logger: assembly.logger)
        client = cluster.client == cluster.server ? server : try Credentials(cluster.client, logger: assembly.logger)
        for (credentials, file) in [(server, cluster.server.certificate), (client, cluster.client.certificate)].prefix(
            count)
        {
            assembly.metrics.registerGauge(
                name: "pmem_csi_certificate_expiry_timestamp_seconds",
                help: "When the certificate, or the authority that it is checked with, expires, since the Unix epoch.",
                labels: [("certificate", file)], simple: true
            ) { credentials.expiry.timeIntervalSince1970 }
        }
    }

    private var count: Int { server === client ? 1 : 2 }

    var services: [any Service] { [server, client].prefix(count).map { $0 } }

    func security(as role: Role, to peer: PeerName) -> MutualTLS {
        MutualTLS(credentials: role == .server ? server : client, peer: peer, logger: assembly.logger)
    }
}

/// A server that opens only after something else has happened, unless the driver stops before.
private struct Opening: Service {
    let service: GRPCService
    let condition: @Sendable () async -> Void

    func run() async throws {
        let isStopping = OnceFlag()
        await withGracefulShutdownHandler {
            await cancelWhenGracefulShutdown { await condition() }
        } onGracefulShutdown: {
            isStopping.set()
        }
        guard !isStopping.isSet else { return }
        try await service.run()
    }
}
