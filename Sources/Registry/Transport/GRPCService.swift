package import GRPCCore
package import GRPCNIOTransportHTTP2Posix
package import Logging
import ServiceLifecycle

/// A gRPC server as a ServiceLifecycle service; the assembly makes one per socket and the service group runs it once.
/// `run()` throws when it cannot listen. On graceful shutdown it stops accepting and lets calls in flight finish;
/// those still running after `drain` are cancelled.
package final class GRPCService: Service {
    private typealias Server = GRPCServer<TimerlessTransport>

    private let endpoint: Endpoint
    private let services: [any RegistrableRPCService]
    private let interceptors: [any ServerInterceptor]
    private let security: HTTP2ServerTransport.Posix.TransportSecurity
    private let drain: Duration
    private let logger: Logger
    private let listening = Announcement<Endpoint>()

    /// The default for `drain` stays below the 30 s that Kubernetes leaves between SIGTERM and SIGKILL.
    package init(
        endpoint: Endpoint,
        services: [any RegistrableRPCService],
        interceptors: [any ServerInterceptor] = [],
        security: HTTP2ServerTransport.Posix.TransportSecurity = .plaintext,
        drain: Duration = .seconds(25),
        logger: Logger
    ) {
        self.endpoint = endpoint
        self.services = services
        self.interceptors = interceptors
        self.security = security
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
            listeningSocketDescriptor: Int(socket.descriptor), transportSecurity: security)
        let server = Server(
            transport: TimerlessTransport(transport), services: services, interceptors: interceptors)
        logger.info("listening", metadata: ["endpoint": "\(socket.endpoint)"])
        // Connections queue in the kernel from here on, so callers need not wait for NIO.
        listening.announce(.success(socket.endpoint))
        try await serve(server)
        logger.info("stopped listening", metadata: ["endpoint": "\(socket.endpoint)"])
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
