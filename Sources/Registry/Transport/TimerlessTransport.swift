import GRPCCore
import GRPCNIOTransportCore
import GRPCNIOTransportHTTP2Posix

/// A server transport that leaves deadlines to the clients: no call of ours ends because of one, and a client that waits
/// no longer resets the stream.
///
/// For each deadline grpc-swift puts a task to sleep, and one that was cancelled keeps its memory until its time would
/// have come: some kilobytes for each call of the last minutes.
struct TimerlessTransport: ListeningServerTransport {
    typealias Bytes = HTTP2ServerTransport.Posix.Bytes

    private static let header = "grpc-timeout"
    private let base: HTTP2ServerTransport.Posix

    init(_ base: HTTP2ServerTransport.Posix) {
        self.base = base
    }

    var listeningAddress: SocketAddress {
        get async throws { try await base.listeningAddress }
    }

    func configure(context: GRPCServerContext) { base.configure(context: context) }

    func listen(
        streamHandler:
            @escaping @Sendable (_ stream: RPCStream<Inbound, Outbound>, _ context: ServerContext) async -> Void
    ) async throws {
        try await base.listen { stream, context in
            let parts = stream.inbound.map { part in
                guard case .metadata(var metadata) = part else { return part }
                metadata.removeAllValues(forKey: Self.header)
                return .metadata(metadata)
            }
            let timerless = RPCStream(
                descriptor: stream.descriptor, inbound: Inbound(wrapping: parts), outbound: stream.outbound)
            await streamHandler(timerless, context)
        }
    }

    func beginGracefulShutdown() { base.beginGracefulShutdown() }
}
