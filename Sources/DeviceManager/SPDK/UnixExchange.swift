import NIOCore
import NIOPosix

/// One request and its reply on SPDK's own socket, where nothing but the JSON itself says where the reply ends.
enum UnixExchange {
    static func run(_ body: [UInt8], at path: String, timeout: TimeAmount) async throws(SPDKError) -> [UInt8] {
        let deadline = NIODeadline.now() + timeout
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connectTimeout(min(timeout, .seconds(5)))
                .connect(unixDomainSocketPath: path).get()
        } catch {
            throw SPDKError(.notSent, "cannot connect to \(path): \(error)")
        }
        let reply = channel.eventLoop.makePromise(of: [UInt8].self)
        let timer = channel.eventLoop.scheduleTask(deadline: deadline) {
            reply.fail(SPDKError(.late, "no answer in time"))
            channel.close(promise: nil)
        }
        defer { timer.cancel() }
        do {
            return try await withTaskCancellationHandler {
                start(body, on: channel, reply)
                return try await reply.futureResult.get()
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch let error as SPDKError {
            throw error
        } catch {
            throw SPDKError(.lost, "the connection to \(path) failed: \(error)")
        }
    }

    /// Nothing comes before SPDK was asked, so that the handler misses nothing.
    private static func start(_ body: [UInt8], on channel: any Channel, _ reply: EventLoopPromise<[UInt8]>) {
        channel.eventLoop.execute {
            do {
                try channel.pipeline.syncOperations.addHandler(ReplyHandler(reply))
            } catch {
                // Closed already.
                return reply.fail(error)
            }
            channel.writeAndFlush(ByteBuffer(bytes: body)).whenFailure { reply.fail($0) }
        }
    }
}

/// Collects the one reply of a connection, then closes it.
private final class ReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let reply: EventLoopPromise<[UInt8]>
    private var bytes: [UInt8] = []
    private var end = JSONEnd()

    init(_ reply: EventLoopPromise<[UInt8]>) {
        self.reply = reply
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for byte in unwrapInboundIn(data).readableBytesView {
            bytes.append(byte)
            guard end.isReached(after: byte) else { continue }
            reply.succeed(bytes)
            return context.close(promise: nil)
        }
        guard bytes.count > RPCTransport.limit else { return }
        reply.fail(SPDKError(.malformed, "the answer is larger than \(RPCTransport.limit) bytes"))
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        reply.fail(error)
        context.close(promise: nil)
    }

    /// Once the reply has come, this changes nothing.
    func handlerRemoved(context: ChannelHandlerContext) {
        reply.fail(SPDKError(.lost, "SPDK closed the connection before its answer was whole"))
    }
}

/// Finds the end of a JSON object that comes in pieces: the brace that closes the first one.
struct JSONEnd: Sendable {
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    mutating func isReached(after byte: UInt8) -> Bool {
        if isInString {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString = false
            }
            return false
        }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            return depth <= 0
        default: break
        }
        return false
    }
}
