import Synchronization

/// The nodes that a controller knows, by id: where each can be called, and whether it is there.
///
/// Memory only, rebuilt from registrations. A node that went away stays known, as do its volumes.
package final class NodeRegistry: Sendable {
    package struct Node: Sendable, Equatable {
        package let id: String
        package let endpoint: Endpoint
        package var isRegistered: Bool
        package var lastSeen: ContinuousClock.Instant
        /// What stands for the state of the node's volumes: it changes when they do. Empty when the node does not say.
        package let version: String
        /// The connection that the registration came on, if the node keeps it open.
        let peer: String?
    }

    /// A node that was silent for longer is away: it should have repeated its registration several times.
    package static let patience = Duration.seconds(200)

    private let nodes = Mutex<[String: Node]>([:])

    package init() {}

    /// In the order of their ids.
    package var all: [Node] {
        nodes.withLock { nodes in nodes.values.sorted { $0.id < $1.id } }.map(Self.judged)
    }

    package var registeredCount: Int {
        nodes.withLock { nodes in nodes.values.count { Self.judged($0).isRegistered } }
    }

    package func node(_ id: String) -> Node? {
        nodes.withLock { $0[id] }.map(Self.judged)
    }

    func add(_ node: Node) {
        nodes.withLock { $0[node.id] = node }
    }

    /// Whether the node was there.
    func leave(_ id: String) -> Bool {
        nodes.withLock { nodes in
            defer { nodes[id]?.isRegistered = false }
            return nodes[id]?.isRegistered ?? false
        }
    }

    package func forget(_ id: String) {
        nodes.withLock { $0[id] = nil }
    }

    /// The node that kept this connection open, if there is one, is away now.
    package func connectionClosed(_ peer: String) -> String? {
        nodes.withLock { nodes in
            guard let id = nodes.first(where: { $0.value.peer == peer && $0.value.isRegistered })?.key else {
                return nil
            }
            nodes[id]?.isRegistered = false
            return id
        }
    }

    private static func judged(_ node: Node) -> Node {
        var node = node
        if node.isRegistered, node.lastSeen.duration(to: .now) > patience { node.isRegistered = false }
        return node
    }
}
