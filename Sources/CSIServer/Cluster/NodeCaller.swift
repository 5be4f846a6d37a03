package import CSIProto
package import GRPCCore
package import GRPCNIOTransportHTTP2Posix
package import Registry
import Synchronization

/// Passes calls on to nodes' controller services: a connection for each call, secured both ways, with the request's id.
///
/// Owned by `ClusterPool`. It tells whether a call that failed was ever sent, on which everything that follows depends.
package struct NodeCaller: Sendable {
    package typealias Client = Csi_V1_Controller.Client<HTTP2ClientTransport.Posix>

    /// By then a caller has usually gone; the node goes on, and the repeated call finds what it did.
    package static let patience = Duration.seconds(60)

    private let security: MutualTLS
    private let interceptors: @Sendable (_ node: String) -> [any ClientInterceptor]

    /// `interceptors` are those of the calls to one node, by its id.
    package init(
        security: MutualTLS, interceptors: @escaping @Sendable (_ node: String) -> [any ClientInterceptor] = { _ in [] }
    ) {
        self.security = security
        self.interceptors = interceptors
    }

    package func call<R: Sendable>(
        _ node: NodeRegistry.Node, timeout: Duration = patience,
        _ body: (Client, CallOptions) async throws -> R
    ) async throws -> R {
        let mark = SentMark()
        var options = CallOptions.defaults
        options.timeout = timeout
        do {
            return try await withClient(
                to: node.endpoint, security: security, interceptors: interceptors(node.id) + [mark],
                configure: { configuration in
                    // A node that lost its power says nothing.
                    configuration.connection.keepalive = .init(
                        time: .seconds(10), timeout: .seconds(10), allowWithoutCalls: false)
                }
            ) { [options] client in try await body(Client(wrapping: client), options) }
        } catch let error as RPCError {
            throw Self.error(error, node.id, isSent: mark.isSent)
        } catch {
            throw NodeError(mark.isSent ? .open(isLate: false) : .notSent, "node \(node.id): \(error)")
        }
    }

    private static func error(_ error: RPCError, _ node: String, isSent: Bool) -> NodeError {
        let cause = error.cause.map { " (\($0))" } ?? ""
        guard isSent else {
            return NodeError(.notSent, "node \(node) cannot be reached: \(error.message)\(cause)")
        }
        switch error.code {
        case .deadlineExceeded:
            return NodeError(.open(isLate: true), "node \(node) did not answer in time; it may still do what was asked")
        case .unavailable, .cancelled, .unknown:
            return NodeError(.open(isLate: false), "node \(node) did not answer: \(error.message)\(cause)")
        default:
            return NodeError(.answered(error.code), "node \(node): \(error.message)")
        }
    }
}

/// Remembers whether any call's request went out on a connection, and gives each the id of the request behind it.
private final class SentMark: ClientInterceptor {
    private let sent = Atomic(false)

    var isSent: Bool { sent.load(ordering: .acquiring) }

    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingClientRequest<Input>,
        context: ClientContext,
        next: (
            _ request: StreamingClientRequest<Input>,
            _ context: ClientContext
        ) async throws -> StreamingClientResponse<Output>
    ) async throws -> StreamingClientResponse<Output> {
        var request = request
        if let id = CurrentCall.requestID { request.metadata.addString(id, forKey: CurrentCall.metadataKey) }
        let producer = request.producer
        // Runs once there is a connection with a stream for the call.
        request.producer = { [self] writer in
            sent.store(true, ordering: .releasing)
            try await producer(writer)
        }
        return try await next(request, context)
    }
}
