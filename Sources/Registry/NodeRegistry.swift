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

    /// A registration that is under way: whoever leaves or loses the connection meanwhile is not there at its end.
    struct Ticket: Sendable {
        fileprivate let number: UInt64
    }

    private let nodes = Mutex<[String: Node]>([:])
    private let pending = Mutex<(next: UInt64, all: [UInt64: (id: String, peer: String)])>((0, [:]))

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

    func begin(_ id: String, peer: String) -> Ticket {
        pending.withLock { pending in
            defer { pending.next += 1 }
            pending.all[pending.next] = (id, peer)
            return Ticket(number: pending.next)
        }
    }

    func end(_ ticket: Ticket) { pending.withLock { _ = $0.all.removeValue(forKey: ticket.number) } }

    /// Whether the node was still there.
    func add(_ node: Node, _ ticket: Ticket) -> Bool {
        pending.withLock { pending in
            guard pending.all.removeValue(forKey: ticket.number) != nil else { return false }
            nodes.withLock { $0[node.id] = node }
            return true
        }
    }

    private func cancel(_ isAffected: ((id: String, peer: String)) -> Bool) {
        pending.withLock { pending in pending.all = pending.all.filter { !isAffected($0.value) } }
    }

    /// Whether the node was there.
    func leave(_ id: String) -> Bool {
        cancel { $0.id == id }
        return nodes.withLock { nodes in
            defer { nodes[id]?.isRegistered = false }
            return nodes[id]?.isRegistered ?? false
        }
    }

    package func forget(_ id: String) {
        nodes.withLock { $0[id] = nil }
    }

    /// The node that kept this connection open, if there is one, is away now.
    package func connectionClosed(_ peer: String) -> String? {
        cancel { $0.peer == peer }
        return nodes.withLock { nodes in
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
