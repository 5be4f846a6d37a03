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

    private let listener: NIOAsyncChannel<NIOAsyncChannel<ByteBuffer, ByteBuffer>, Never>
    package let port: Int

    package init(host: String = "127.0.0.1", port: Int = 0) async throws {
        listener = try await Self.bootstrap().bind(host: host, port: port) { Self.wrap($0) }
        self.port = listener.channel.localAddress?.port ?? 0
    }

    package init(unixPath: String) async throws {
        listener = try await Self.bootstrap().bind(
            unixDomainSocketPath: unixPath, cleanupExistingSocketFile: true
        ) { Self.wrap($0) }
        port = 0
    }

    private static func bootstrap() -> ServerBootstrap {
        ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    }

    private static func wrap(_ channel: any Channel)
        -> EventLoopFuture<NIOAsyncChannel<ByteBuffer, ByteBuffer>>
    {
        channel.eventLoop.makeCompletedFuture {
            try NIOAsyncChannel(
                wrappingChannelSynchronously: channel,
                configuration: .init(inboundType: ByteBuffer.self, outboundType: ByteBuffer.self))
        }
    }

    /// Until the task is cancelled.
    package func run(_ handler: @escaping Handler) async throws {
        try await listener.executeThenClose { connections in
            await withDiscardingTaskGroup { group in
                do {
                    for try await connection in connections {
                        group.addTask { try? await Self.serve(connection, handler) }
                    }
                } catch {
                    group.cancelAll()
                }
            }
        }
    }

    /// Runs the server while `body` uses it.
    package func serving<Result: Sendable>(
        _ handler: @escaping Handler, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await run(handler)
                return nil
            }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }

    private static func serve(_ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>, _ handler: Handler) async throws {
        try await connection.executeThenClose { inbound, outbound in
            var bytes: [UInt8] = []
            for try await piece in inbound {
                bytes += Array(buffer: piece)
                guard let request = request(bytes) else { continue }
                switch await handler(request) {
                case .bytes(let reply): try await outbound.write(ByteBuffer(bytes: reply))
                case .close: break
                case .silence: try await Task.sleep(for: .seconds(600))
                }
                return
            }
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
