import GRPCCore
import NIOCore
import Synchronization

/// Remembers which of a client's connections, one after the other, carried its last call: by the node's own address.
final class UsedConnection: ClientInterceptor {
    private let last = Mutex("")

    var address: String { last.withLock { $0 } }

    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingClientRequest<Input>, context: ClientContext,
        next: (_ request: StreamingClientRequest<Input>, _ context: ClientContext) async throws ->
            StreamingClientResponse<Output>
    ) async throws -> StreamingClientResponse<Output> {
        last.withLock { $0 = context.localPeer }
        return try await next(request, context)
    }
}

/// Tells the end of a connection, by the node's own address, which the channel has forgotten by then.
final class ConnectionEnd: ChannelInboundHandler {
    typealias InboundIn = NIOAny

    private let tell: @Sendable (String) -> Void
    private var address = ""

    init(_ tell: @escaping @Sendable (String) -> Void) {
        self.tell = tell
    }

    func handlerAdded(context: ChannelHandlerContext) { note(context) }

    func channelActive(context: ChannelHandlerContext) {
        note(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        tell(address)
        context.fireChannelInactive()
    }

    private func note(_ context: ChannelHandlerContext) {
        if let own = context.localAddress { address = RemotePeer.text(own) }
    }
}
