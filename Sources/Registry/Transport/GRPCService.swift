package import GRPCCore
import GRPCNIOTransportHTTP2Posix
package import Logging
import NIOCore
import ServiceLifecycle

/// A gRPC server as a ServiceLifecycle service; the assembly makes one per socket and the service group runs it once.
/// `run()` throws when it cannot listen. On graceful shutdown it stops accepting and lets calls in flight finish;
/// those still running after `drain` are cancelled.
package final class GRPCService: Service {
    private typealias Server = GRPCServer<TimerlessTransport>

    private let endpoint: Endpoint
    private let services: [any RegistrableRPCService]
    private let interceptors: [any ServerInterceptor]
    private let security: MutualTLS?
    private let closed: @Sendable (_ peer: String) -> Void
    private let handshake: Duration
    private let drain: Duration
    private let logger: Logger
    private let listening = Announcement<Endpoint>()

    /// The default for `drain` stays below the 30 s that Kubernetes leaves between SIGTERM and SIGKILL.
    /// With TLS, `closed` hears of connections that ended, by the name that calls on them had as `remotePeer`, and
    /// `handshake` bounds how long strangers may take.
    package init(
        endpoint: Endpoint,
        services: [any RegistrableRPCService],
        interceptors: [any ServerInterceptor] = [],
        security: MutualTLS? = nil,
        closed: @escaping @Sendable (_ peer: String) -> Void = { _ in },
        handshake: Duration = .seconds(10),
        drain: Duration = .seconds(25),
        logger: Logger
    ) {
        self.endpoint = endpoint
        self.services = services
        self.interceptors = interceptors
        self.security = security
        self.closed = closed
        self.handshake = handshake
        self.drain = drain
        self.logger = logger
    }

    /// Where it listens, with the real port; waits until it does, and throws what `run()` throws if it never will.
    package var listeningEndpoint: Endpoint {
        get async throws { try await listening.value }
    }

    package func run() async throws {
        let socket: ListeningSocket
        do {
            socket = try ListeningSocket(endpoint)
        } catch {
            listening.announce(.failure(error))
            throw error
        }
        defer { socket.removeFile() }
        let transport = HTTP2ServerTransport.Posix(
            listeningSocketDescriptor: Int(socket.descriptor), transportSecurity: try security?.server() ?? .plaintext,
            config: transportConfiguration())
        let server = Server(
            transport: TimerlessTransport(transport), services: services,
            interceptors: interceptors + (security.map { [$0.peerCheck] } ?? []))
        logger.info("listening", metadata: ["endpoint": "\(socket.endpoint)"])
        // Connections queue in the kernel from here on, so callers need not wait for NIO.
        listening.announce(.success(socket.endpoint))
        try await serve(server)
        logger.info("stopped listening", metadata: ["endpoint": "\(socket.endpoint)"])
    }

    /// With TLS the callers are other machines, which keep connections open and may vanish without a word.
    private func transportConfiguration() -> HTTP2ServerTransport.Posix.Config {
        .defaults { configuration in
            guard security != nil else { return }
            let guardian = ConnectionGuard(
                handshake: .nanoseconds(Int64(handshake / .nanoseconds(1))), logger: logger, closed: closed)
            configuration.channelDebuggingCallbacks.onAcceptTCPConnection = { guardian.watch($0) }
            configuration.connection.keepalive.time = .seconds(30)
            configuration.connection.keepalive.timeout = .seconds(15)
            configuration.connection.keepalive.clientBehavior.allowWithoutCalls = true
            configuration.connection.keepalive.clientBehavior.minPingIntervalWithoutCalls = .seconds(5)
            // Requests here are small; a window of the default size would be set aside for each node.
            configuration.http2.targetWindowSize = 65_535
        }
    }

    private func serve(_ server: Server) async throws {
        let (shutdown, signal) = AsyncStream<Void>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await withGracefulShutdownHandler {
                    try await server.serve()
                } onGracefulShutdown: {
                    signal.finish()
                }
            }
            group.addTask { [self] in
                for await _ in shutdown {}
                // NIO does not expect a listener to be closed between its set-up and its registration.
                _ = try? await server.listeningAddress
                server.beginGracefulShutdown()
                try await Task.sleep(for: drain)
                logger.warning(
                    "calls are still running after the time to drain: cancelling them",
                    metadata: ["endpoint": "\(endpoint)", "drain": "\(drain)"])
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
