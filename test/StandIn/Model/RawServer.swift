import NIOCore
import NIOPosix

/// A request of HTTP as it came, or a JSON text where the server stands for SPDK's own socket.
package struct RawRequest: Sendable {
    package let head: String
    package let body: [UInt8]
}

/// What a server does with a request: any bytes at all.
package enum RawReply: Sendable {
    /// These, and the end of the connection.
    case bytes([UInt8])
    case close
    /// These, and nothing more for as long as the caller waits.
    case stalled([UInt8])
    /// Nothing, for as long as the caller waits.
    case silence

    package static func text(_ text: String) -> RawReply { .bytes(Array(text.utf8)) }

    /// As SPDK's proxy answers: no length, the end of the connection is the end of the body.
    package static func http(_ body: [UInt8], status: String = "200 OK") -> RawReply {
        .bytes(Array("HTTP/1.0 \(status)\r\nServer: BaseHTTP/0.6\r\nContent-type: text/html\r\n\r\n".utf8) + body)
    }
}

/// A server of one request for each connection, without any rules of HTTP but where a request ends.
package struct RawServer: Sendable {
    package typealias Handler = @Sendable (RawRequest) async -> RawReply

    private let channel: any Channel
    package let port: Int

    package init(host: String = "127.0.0.1", port: Int = 0, _ handler: @escaping Handler) async throws {
        channel = try await Self.bootstrap(handler).bind(host: host, port: port).get()
        self.port = channel.localAddress?.port ?? 0
    }

    package init(unixPath: String, _ handler: @escaping Handler) async throws {
        channel = try await Self.bootstrap(handler)
            .bind(unixDomainSocketPath: unixPath, cleanupExistingSocketFile: true).get()
        port = 0
    }

    private static func bootstrap(_ handler: @escaping Handler) -> ServerBootstrap {
        ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(RawConnection(handler))
                }
            }
    }

    /// For as long as the process lives.
    package func run() async throws { try await channel.closeFuture.get() }

    /// Answers while `body` asks.
    package func serving<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        try await channel.close()
        return try result.get()
    }
}

/// A plain handler: NIO's asynchronous channels end the process when one that was accepted is not taken any more.
private final class RawConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let handler: RawServer.Handler
    private var bytes: [UInt8] = []
    private var isAnswered = false

    init(_ handler: @escaping RawServer.Handler) { self.handler = handler }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes += Array(buffer: unwrapInboundIn(data))
        guard !isAnswered, let request = Self.request(bytes) else { return }
        isAnswered = true
        let channel = context.channel
        // As SPDK does, it goes on when its caller has gone.
        Task { [handler] in
            switch await handler(request) {
            case .bytes(let reply): try? await channel.writeAndFlush(ByteBuffer(bytes: reply)).get()
            case .close: break
            case .stalled(let reply):
                try? await channel.writeAndFlush(ByteBuffer(bytes: reply)).get()
                return
            case .silence: return
            }
            try? await channel.close()
        }
    }

    /// Nil until it is whole.
    private static func request(_ bytes: [UInt8]) -> RawRequest? {
        guard bytes.starts(with: Array("POST".utf8)) || bytes.starts(with: Array("GET".utf8)) else {
            return bytes.last == UInt8(ascii: "}") ? RawRequest(head: "", body: bytes) : nil
        }
        let end = Array("\r\n\r\n".utf8)
        guard let headEnd = bytes.indices.first(where: { bytes[$0...].starts(with: end) }) else { return nil }
        let head = String(decoding: bytes[..<headEnd], as: UTF8.self)
        let body = Array(bytes[(headEnd + 4)...])
        let length = head.split(separator: "\r\n").lazy.compactMap { line -> Int? in
            guard line.lowercased().hasPrefix("content-length:") else { return nil }
            return Int(line.split(separator: ":")[1].drop { $0 == " " })
        }.first
        guard body.count >= length ?? 0 else { return nil }
        return RawRequest(head: head, body: body)
    }
}
