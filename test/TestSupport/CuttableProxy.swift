import NIOCore
import NIOPosix
package import Registry
import Synchronization

/// A TCP relay between a controller and one node, which a test can cut like a cable; everything passes until then.
package final class CuttableProxy: Sendable {
    private struct State {
        var channels: [any Channel] = []
        var isCut = false
        var refused = 0
    }

    private let target: @Sendable () async throws -> Endpoint
    private let state = Mutex(State())
    private let server = Mutex<(any Channel)?>(nil)

    /// Relays to where `target` says at each connection.
    package init(target: @escaping @Sendable () async throws -> Endpoint) {
        self.target = target
    }

    /// Listens, and returns where; later calls return the same.
    package func start() async throws -> Endpoint {
        if let server = server.withLock({ $0 }) { return try endpoint(server) }
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { inbound in
                inbound.eventLoop.makeFutureWithTask { try await self.relay(inbound) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.server.withLock { $0 = server }
        return try endpoint(server)
    }

    private func endpoint(_ server: any Channel) throws -> Endpoint {
        try Endpoint("tcp://127.0.0.1:\(server.localAddress?.port ?? 0)")
    }

    package func stop() {
        server.withLock { $0 }?.close(promise: nil)
        cut()
    }

    /// Ends all connections, and those to come at once.
    package func cut() {
        let channels = state.withLock { state in
            state.isCut = true
            defer { state.channels = [] }
            return state.channels
        }
        for channel in channels { channel.close(promise: nil) }
    }

    /// Connections that came while it was cut.
    package var refused: Int { state.withLock(\.refused) }

    package func mend() { state.withLock { $0.isCut = false } }

    private func isRefusing() -> Bool {
        state.withLock { state in
            if state.isCut { state.refused += 1 }
            return state.isCut
        }
    }

    private func relay(_ inbound: any Channel) async throws {
        guard case .tcp(let host, let port) = try await target().address, !isRefusing() else {
            return inbound.close(promise: nil)
        }
        let outbound = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .connect(host: host, port: Int(port)).get()
        let isCut = state.withLock { state in
            if !state.isCut { state.channels += [inbound, outbound] }
            return state.isCut
        }
        try await inbound.pipeline.addHandler(Relay(to: outbound))
        try await outbound.pipeline.addHandler(Relay(to: inbound))
        for channel in [inbound, outbound] {
            if isCut { channel.close(promise: nil) } else { try await channel.setOption(.autoRead, value: true).get() }
        }
    }
}

/// Hands what comes in on one connection to the other, and its end.
private final class Relay: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let other: any Channel

    init(to other: any Channel) {
        self.other = other
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        other.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        other.close(promise: nil)
    }
}
