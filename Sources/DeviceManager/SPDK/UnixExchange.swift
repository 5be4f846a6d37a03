import NIOCore
import NIOPosix
import Synchronization

/// One request and its reply on SPDK's own socket, where nothing but the JSON itself says where the reply ends.
enum UnixExchange {
    static func run(_ body: [UInt8], at path: String, timeout: TimeAmount) async throws(SPDKError) -> [UInt8] {
        let deadline = NIODeadline.now() + timeout
        let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connectTimeout(min(timeout, .seconds(5)))
                .connect(unixDomainSocketPath: path) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel(
                            wrappingChannelSynchronously: channel,
                            configuration: .init(inboundType: ByteBuffer.self, outboundType: ByteBuffer.self))
                    }
                }
        } catch {
            throw SPDKError(.notSent, "cannot connect to \(path): \(error)")
        }
        // Closing is what ends the reading below.
        let isLate = Atomic(false)
        let timer = channel.channel.eventLoop.scheduleTask(deadline: deadline) {
            isLate.store(true, ordering: .relaxed)
            channel.channel.close(promise: nil)
        }
        defer { timer.cancel() }
        do {
            return try await converse(channel, body)
        } catch let error as SPDKError {
            throw isLate.load(ordering: .relaxed) ? SPDKError(.late, "no answer in time") : error
        } catch {
            guard !isLate.load(ordering: .relaxed) else { throw SPDKError(.late, "no answer in time") }
            throw SPDKError(.lost, "the connection to \(path) failed: \(error)")
        }
    }

    private static func converse(_ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>, _ body: [UInt8]) async throws
        -> [UInt8]
    {
        try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: body))
            var end = JSONEnd()
            var reply: [UInt8] = []
            for try await piece in inbound {
                for byte in piece.readableBytesView {
                    reply.append(byte)
                    if end.isReached(after: byte) { return reply }
                }
                guard reply.count <= RPCTransport.limit else {
                    throw SPDKError(.malformed, "the answer is larger than \(RPCTransport.limit) bytes")
                }
            }
            throw SPDKError(.lost, "SPDK closed the connection before its answer was whole")
        }
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
