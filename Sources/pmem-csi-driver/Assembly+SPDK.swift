import AsyncHTTPClient
import CSIServer
import DeviceManager
import GRPCCore
import Program
import Registry
import SPDK
import ServiceLifecycle

// Volumes on storage nodes: a controller that asks SPDK, nodes that connect to it, or both in one process.
extension Assembly {
    func spdkServices() throws -> [any Service] {
        let files = SPDKFiles()
        var (services, servers): ([any Service], [any RegistrableRPCService]) = ([], [])
        var pool: SPDKPool?
        if configuration.mode != .node {
            let http = HTTPClient.forSPDK()
            let made = try controllerPool(files, http)
            pool = made
            services += [HTTPEnd(http: http), SPDKWatch(pool: made)]
            servers.append(ControllerService(pool: made, gate: gate))
        }
        if configuration.mode != .controller {
            let node = try remoteNode(files, pool)
            services.append(RemoteRecovery(node: node, gate: gate))
            servers.append(RemoteNodeService(node: node, gate: gate))
            servers.append(
                IdentityService(name: configuration.driverName, version: Version.current, node: node))
        } else if let pool {
            servers.append(identity(pool))
        }
        let server = server(servers)
        return services + [server]
    }

    private func controllerPool(_ files: SPDKFiles, _ http: HTTPClient) throws -> SPDKPool {
        let targets = try WatchedFile(files.configuration, isOptional: false, logger: logger) {
            node throws(ConfigurationError) in try SPDKConfiguration(node)
        }
        let secrets = try WatchedFile(files.secret, isOptional: true, logger: logger) {
            node throws(ConfigurationError) in try SPDKSecrets(node)
        }
        return SPDKPool(
            configuration: targets, secrets: secrets, http: http, driverName: configuration.driverName,
            onlyNode: configuration.mode == .unified ? configuration.nodeID : nil, gate: gate, logger: logger)
    }

    private func remoteNode(_ files: SPDKFiles, _ pool: SPDKPool?) throws -> RemoteNode {
        let own = try NodeServerConfiguration(path: files.node)
        let cluster = try pool?.clusterName(and: own.clusterName, at: files.node) ?? own.clusterName ?? ""
        var lookup: RemoteNode.Lookup?
        if let pool { lookup = { id in try await pool.lookup(id) } }
        let host = HostIdentity(
            driverName: configuration.driverName, clusterName: cluster, nodeID: configuration.nodeID)
        return RemoteNode(
            nodeID: configuration.nodeID,
            attachments: try RemoteAttachments(directory: configuration.statePath, host: host, logger: logger),
            configuration: own, lookup: lookup, logger: logger)
    }
}

/// Where spdk-csi's files are; an empty variable counts as not set.
private struct SPDKFiles {
    let configuration: String
    let node: String
    let secret: String

    init() {
        let environment = ProgramEnvironment.variables()
        func path(_ variable: String, _ usual: String) -> String {
            environment[variable].flatMap { $0.isEmpty ? nil : $0 } ?? usual
        }
        configuration = path("SPDKCSI_CONFIG", "/etc/spdkcsi-config/config.json")
        node = path("SPDKCSI_CONFIG_NODESERVER", "/etc/spdkcsi-nodeserver-config/nodeserver-config.json")
        secret = path("SPDKCSI_SECRET", "/etc/spdkcsi-secret/secret.json")
    }
}

/// Closes the HTTP client when nothing needs it any more.
private struct HTTPEnd: Service {
    let http: HTTPClient

    func run() async throws {
        try? await gracefulShutdown()
        try? await http.shutdown()
    }
}
