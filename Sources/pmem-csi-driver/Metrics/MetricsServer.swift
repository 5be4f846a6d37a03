import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Registry
import ServiceLifecycle
import Synchronization

/// Serves `/metrics` and `/metrics/simple` over HTTP as a service of the driver; `run()` throws when it cannot listen.
/// Every connection carries one request, lives at most `lifetime`, and there are at most `connectionLimit`.
final class MetricsServer: Service {
    private typealias Connection = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

    private static let lifetime = TimeAmount.seconds(30)
    private static let connectionLimit = 32

    private let endpoint: Endpoint
    private let metrics: PrometheusMetrics
    private let logger: Logger
    private let listening = Announcement<Endpoint>()
    private let connections = Mutex(0)

    /// Takes `host:port`, `:port`, or an endpoint with a scheme.
    init(listen: String, metrics: PrometheusMetrics, logger: Logger) throws(TransportError) {
        endpoint = try Endpoint(listen.contains("://") || listen.hasPrefix("/") ? listen : "tcp://\(listen)")
        self.metrics = metrics
        self.logger = logger
    }

    /// Where it listens, with the real port; waits until it does.
    var listeningEndpoint: Endpoint {
        get async throws { try await listening.value }
    }

    func run() async throws {
        let socket: ListeningSocket
        do {
            socket = try ListeningSocket(endpoint)
        } catch {
            listening.announce(.failure(error))
            throw error
        }
        defer { socket.removeFile() }
        logger.info("serving metrics", metadata: ["endpoint": "\(socket.endpoint)"])
        listening.announce(.success(socket.endpoint))
        do {
            try await serve(socket)
        } catch {
            if !Task.isCancelled { logger.error("metrics server failed", metadata: ["error": "\(error)"]) }
        }
    }

    private func serve(_ socket: ListeningSocket) async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(NIOBSDSocket.Handle(socket.descriptor)) { channel in
                channel.eventLoop.makeCompletedFuture { try Self.connection(on: channel) }
            }
        // Closed, not cancelled: each connection that was accepted has to be taken, or NIO ends the process.
        try await withGracefulShutdownHandler {
            try await server.executeThenClose { inbound in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await connection in inbound {
                        // A scrape that is cut off by the shutdown is nobody's loss.
                        group.addTask { await cancelWhenGracefulShutdown { await self.handle(connection) } }
                    }
                }
            }
        } onGracefulShutdown: {
            server.channel.close(promise: nil)
        }
    }

    private static func connection(on channel: any Channel) throws -> Connection {
        let end = channel.eventLoop.scheduleTask(in: lifetime) { channel.close(promise: nil) }
        channel.closeFuture.whenComplete { _ in end.cancel() }
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: false)
        return try Connection(wrappingChannelSynchronously: channel)
    }

    private func handle(_ connection: Connection) async {
        let count = connections.withLock { count in
            count += 1
            return count
        }
        defer { connections.withLock { $0 -= 1 } }
        do {
            try await connection.executeThenClose { inbound, outbound in
                guard count <= Self.connectionLimit else { return }
                for try await case .head(let head) in inbound {
                    try await self.answer(head, outbound)
                    return
                }
            }
        } catch {
            logger.debug("metrics connection ended early", metadata: ["error": "\(error)"])
        }
    }

    private func answer(
        _ request: HTTPRequestHead, _ outbound: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    ) async throws {
        let (status, body) = await content(request)
        var headers = HTTPHeaders([
            ("Content-Type", status == .ok ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain"),
            ("Content-Length", "\(body.utf8.count)"),
            ("Connection", "close"),
        ])
        if status == .methodNotAllowed { headers.add(name: "Allow", value: "GET") }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        try await outbound.write(.head(head))
        try await outbound.write(.body(.byteBuffer(ByteBuffer(string: body))))
        try await outbound.write(.end(nil))
    }

    private func content(_ request: HTTPRequestHead) async -> (HTTPResponseStatus, String) {
        let simple: Bool
        switch request.uri.prefix(while: { $0 != "?" }) {
        case "/metrics": simple = false
        case "/metrics/simple": simple = true
        default: return (.notFound, "not found: the metrics are at /metrics\n")
        }
        guard request.method == .GET else { return (.methodNotAllowed, "only GET is allowed\n") }
        return (.ok, await metrics.text(simple: simple))
    }
}
