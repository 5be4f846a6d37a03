import ArgumentParser
import CSIServer
import DeviceManager
import Logging
import Registry
import ServiceLifecycle
import UnixSignals

/// The node side of volumes on storage targets, alone: Identity and Node, for volumes that no controller made.
@main
struct LabNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab-node", abstract: "Serves the node calls for volumes of storage targets.")

    @Option(help: "unix:///path")
    var endpoint: String

    @Option(help: "The records' directory.")
    var state: String

    @Option(help: "The node's own configuration file.")
    var nodeConfiguration = "/etc/spdkcsi-nodeserver-config/nodeserver-config.json"

    static let driver = "csi.spdk.io"
    static let node = "host-1"

    func run() async throws {
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = .debug
            return handler
        }
        let logger = Logger(label: "lab-node")
        let configuration = try NodeServerConfiguration(path: nodeConfiguration)
        let host = HostIdentity(
            driverName: Self.driver, clusterName: configuration.clusterName ?? "", nodeID: Self.node)
        let attachments = try RemoteAttachments(directory: state, host: host, logger: logger)
        let node = RemoteNode(
            nodeID: Self.node, attachments: attachments, configuration: configuration, logger: logger)
        let gate = OperationGate()
        let server = GRPCService(
            endpoint: try Endpoint(endpoint),
            services: [
                IdentityService(name: Self.driver, version: "lab", node: node),
                RemoteNodeService(node: node, gate: gate),
            ],
            interceptors: [CallLog(logger: logger, redact: Redaction.text)], logger: logger)
        try await ServiceGroup(
            services: [RemoteRecovery(node: node, gate: gate), server], gracefulShutdownSignals: [.sigterm],
            logger: logger
        ).run()
    }
}
