import GRPCNIOTransportHTTP2Posix
import Glibc
import Logging
import NIOCore
import NIOSSL
import NIOTLS
import Synchronization

/// Bounds what strangers can take from a server with TLS: time for the handshake, and how many may be in one.
///
/// Owned by the server's service. When there are too many, the oldest handshake gives way, so that those who come later
/// and can prove who they are always get in. Each connection that ends this way leaves a line in the log.
final class ConnectionGuard: Sendable {
    private struct State {
        /// In the order in which they came.
        var waiting: [(id: UInt64, channel: any Channel)] = []
        var next: UInt64 = 0
    }

    /// Milliseconds in which what was sent must be acknowledged (tcp(7), TCP_USER_TIMEOUT). Where a keepalive of gRPC's
    /// is not answered, it says good-bye and waits for an answer to that, which a machine without power does not give.
    private static let silence = 15_000

    private let handshake: TimeAmount
    private let limit: Int
    private let logger: Logger
    private let closed: @Sendable (_ peer: String) -> Void
    private let state = Mutex(State())

    init(
        handshake: TimeAmount = .seconds(10), limit: Int = 512, logger: Logger,
        closed: @escaping @Sendable (_ peer: String) -> Void
    ) {
        self.handshake = handshake
        self.limit = limit
        self.logger = logger
        self.closed = closed
    }

    /// For `onAcceptTCPConnection`.
    func watch(_ channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let operations = channel.pipeline.syncOperations
            let tls = try operations.handler(type: NIOSSLServerHandler.self)
            try operations.addHandler(Handler(guarding: self, channel), position: .after(tls))
        }.flatMap {
            channel.setOption(.tcpOption(.init(rawValue: TCP_USER_TIMEOUT)), value: Self.silence)
        }
    }

    private func begin(_ channel: any Channel) -> UInt64 {
        let (id, evicted) = state.withLock { state in
            defer { state.next += 1 }
            state.waiting.append((state.next, channel))
            return (state.next, state.waiting.count > limit ? state.waiting.removeFirst().channel : nil)
        }
        if let evicted { end(evicted, "too many connections are in their handshake, and this is the oldest") }
        return id
    }

    private func finish(_ id: UInt64) {
        state.withLock { state in state.waiting.removeAll { $0.id == id } }
    }

    private func end(_ channel: any Channel, _ reason: String) {
        logger.notice("closed a connection", metadata: ["peer": "\(Self.name(of: channel))", "reason": "\(reason)"])
        channel.close(mode: .all, promise: nil)
    }

    private static func name(of channel: any Channel) -> String {
        channel.remoteAddress?.description ?? "unknown"
    }

    /// Beside the TLS handler of one connection, on its event loop.
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = NIOAny

        private let owner: ConnectionGuard
        private let id: UInt64
        private let timeout: Scheduled<Void>
        private var isDone = false

        init(guarding owner: ConnectionGuard, _ channel: any Channel) {
            self.owner = owner
            id = owner.begin(channel)
            timeout = channel.eventLoop.scheduleTask(in: owner.handshake) {
                owner.end(channel, "its TLS handshake took too long")
            }
            let peer = channel.remoteAddress.map { RemotePeer.text($0) }
            channel.closeFuture.whenComplete { [timeout, id] _ in
                timeout.cancel()
                owner.finish(id)
                if let peer { owner.closed(peer) }
            }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .handshakeCompleted? = event as? TLSUserEvent {
                isDone = true
                timeout.cancel()
                owner.finish(id)
            }
            context.fireUserInboundEventTriggered(event)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if !isDone {
                isDone = true
                owner.logger.warning(
                    "a TLS handshake failed",
                    metadata: ["peer": "\(ConnectionGuard.name(of: context.channel))", "error": "\(error)"])
            }
            context.fireErrorCaught(error)
        }
    }
}

/// The other side of a connection as gRPC writes it in `ServerContext.remotePeer`.
enum RemotePeer {
    static func text(_ address: NIOCore.SocketAddress) -> String {
        switch address {
        case .v4: "ipv4:\(address.ipAddress ?? ""):\(address.port ?? 0)"
        case .v6: "ipv6:[\(address.ipAddress ?? "")]:\(address.port ?? 0)"
        case .unixDomainSocket: "unix:\(address.pathname ?? "")"
        }
    }

    /// The host in such a text, to be called back; nil where there is none.
    static func host(_ text: String) -> String? {
        guard let colon = text.firstIndex(of: ":"), let last = text.lastIndex(of: ":"), colon < last else { return nil }
        let host = text[text.index(after: colon)..<last]
        switch text[..<colon] {
        case "ipv4": return String(host)
        case "ipv6": return unmapped(String(host.dropFirst().dropLast()))
        default: return nil
        }
    }

    /// A socket for all addresses sees callers with IPv4 as ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2).
    private static func unmapped(_ address: String) -> String {
        let prefix = "::ffff:"
        guard address.hasPrefix(prefix), address.contains(".") else { return address }
        return String(address.dropFirst(prefix.count))
    }
}
