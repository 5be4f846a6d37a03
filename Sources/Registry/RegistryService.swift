package import GRPCCore
package import Logging
package import RegistryProto
import SwiftProtobuf

/// The registry's calls: a node is registered once the controller has called it back and read its volumes.
///
/// At most `readers` nodes are read at a time and the others wait in line, so a controller that comes back to thousands of
/// nodes stays usable.
package struct RegistryService: Registry_V0_Registry.ServiceProtocol {
    /// In the reply: how many nodes are registered, by which nodes choose how far they spread their calls.
    static let nodeCountKey = "pmem-csi-nodes"
    /// In the request: the version of the node's volumes.
    static let versionKey = "pmem-csi-volumes-version"

    /// In the request: the node closes the connection after this call, which says nothing about the node.
    static let closingKey = "pmem-csi-closing"

    /// Reads a node's volumes; throws what makes the registration fail.
    package typealias Reader = @Sendable (_ node: NodeRegistry.Node, _ known: NodeRegistry.Node?) async throws -> Void

    private let registry: NodeRegistry
    private let line: WaitingLine
    private let read: Reader
    private let logger: Logger

    package init(registry: NodeRegistry, readers: Int = 16, logger: Logger, read: @escaping Reader) {
        self.registry = registry
        self.read = read
        self.logger = logger
        line = WaitingLine(places: readers)
    }

    package func registerController(
        request: ServerRequest<Registry_V0_RegisterControllerRequest>, context: ServerContext
    ) async throws -> ServerResponse<Registry_V0_RegisterControllerReply> {
        let version = request.metadata[stringValues: Self.versionKey].first { _ in true } ?? ""
        let isClosing = request.metadata[stringValues: Self.closingKey].contains { _ in true }
        let node = NodeRegistry.Node(
            id: try Self.nodeID(request.message.nodeID), endpoint: try Self.endpoint(request.message.endpoint, context),
            isRegistered: true, lastSeen: .now, version: version,
            peer: isClosing ? nil : context.remotePeer)
        let ticket = registry.begin(node.id, peer: context.remotePeer)
        defer { registry.end(ticket) }
        let known = registry.node(node.id)
        let isSame = known?.isRegistered == true && known?.endpoint == node.endpoint && known?.version == version
        if !isSame || version.isEmpty {
            try await line.run { try await read(node, known) }
        }
        guard registry.add(node, ticket) else {
            throw RegistryError(.unavailable, "node \(node.id) left while it was being registered")
        }
        if known?.isRegistered != true || known?.endpoint != node.endpoint {
            logger.info("node registered", metadata: ["node": "\(node.id)", "endpoint": "\(node.endpoint)"])
        }
        return ServerResponse(
            message: .init(), metadata: [Self.nodeCountKey: "\(registry.registeredCount)"])
    }

    /// Fine for a node that is not known, too.
    package func unregisterController(
        request: ServerRequest<Registry_V0_UnregisterControllerRequest>, context: ServerContext
    ) async throws -> ServerResponse<Registry_V0_UnregisterControllerReply> {
        let id = try Self.nodeID(request.message.nodeID)
        if registry.leave(id) { logger.info("node unregistered", metadata: ["node": "\(id)"]) }
        return ServerResponse(message: .init())
    }

    private static func nodeID(_ text: String) throws -> String {
        guard (1...63).contains(text.utf8.count) else {
            throw RegistryError(.invalidArgument, "node_id \"\(text.prefix(64))\" must have 1 to 63 bytes")
        }
        return text
    }

    /// A node that listens on all addresses is called at the one that it calls from.
    private static func endpoint(_ text: String, _ context: ServerContext) throws -> Endpoint {
        let endpoint: Endpoint
        do {
            endpoint = try Endpoint(text)
        } catch {
            throw RegistryError(.invalidArgument, "endpoint: \(error)")
        }
        guard case .tcp(let host, let port) = endpoint.address, ["", "0.0.0.0", "::"].contains(host),
            let caller = RemotePeer.host(context.remotePeer)
        else { return endpoint }
        return Endpoint(address: .tcp(host: caller, port: port))
    }
}
