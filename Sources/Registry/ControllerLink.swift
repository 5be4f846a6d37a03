import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Logging
import NIOCore
import RegistryProto
import ServiceLifecycle
import SwiftProtobuf
import Synchronization

/// One node's registration with one controller, kept up over one connection; ends when it is cancelled.
struct ControllerLink {
    private enum Event {
        case lost, refresh, changed
    }

    /// Changes come in bunches, and the controller that caused one knows it already.
    private static let settling = Duration.milliseconds(300)

    private let node: Registration
    private let address: Endpoint
    private let spread = Spread()

    init(_ node: Registration, _ address: Endpoint) {
        self.node = node
        self.address = address
    }

    private var metadata: Logger.Metadata { ["controller": "\(address)"] }

    func run() async {
        var complaint = ""
        while !Task.isCancelled {
            do {
                try await stayRegistered { complaint = "" }
                complaint = ""
                node.logger.notice("lost the connection to the controller", metadata: metadata)
            } catch {
                if Task.isCancelled { break }
                let text = RPCError(anyError: error).message + ((error as? RPCError)?.cause.map { ": \($0)" } ?? "")
                if text != complaint {
                    node.logger.warning(
                        "not registered with the controller", metadata: metadata.merging(["error": "\(text)"]) { $1 })
                }
                complaint = text
            }
            try? await Task.sleep(for: spread.pause())
        }
        await unregister()
    }

    /// Returns when the connection was lost; throws when the controller refuses or cannot be reached.
    private func stayRegistered(_ succeeded: () -> Void) async throws {
        let (events, happen) = AsyncStream<Event>.makeStream()
        try await withClient(
            to: address, security: node.security,
            configure: { configuration in
                configuration.connection.keepalive = .init(
                    time: .seconds(20), timeout: .seconds(10), allowWithoutCalls: true)
                configuration.connection.maxIdleTime = nil
                configuration.http2.targetWindowSize = 65_535
                configuration.channelDebuggingCallbacks.onCreateTCPConnection = { channel in
                    channel.closeFuture.whenComplete { _ in happen.yield(.lost) }
                    return channel.eventLoop.makeSucceededVoidFuture()
                }
            }
        ) { client in
            try await register(client)
            succeeded()
            node.logger.info("registered with the controller", metadata: metadata)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await tick(happen) }
                group.addTask { for await _ in node.volumes.changes() { happen.yield(.changed) } }
                group.addTask { await follow(events, client) }
                // The first to end is the last: the connection is lost, or the task cancelled.
                await group.next()
                group.cancelAll()
            }
            client.beginGracefulShutdown()
        }
    }

    private func tick(_ happen: AsyncStream<Event>.Continuation) async {
        while (try? await Task.sleep(for: node.timing.refresh * Double.random(in: 0.8...1.2))) != nil {
            happen.yield(.refresh)
        }
    }

    private func follow(_ events: AsyncStream<Event>, _ client: GRPCClient<HTTP2ClientTransport.Posix>) async {
        var told = node.volumes.version
        for await event in events {
            if event == .lost || Task.isCancelled { return }
            if event == .changed {
                guard (try? await Task.sleep(for: Self.settling)) != nil else { return }
                guard node.volumes.version != told else { continue }
            }
            do {
                told = try await register(client)
            } catch {
                node.logger.notice(
                    "the registration was not renewed",
                    metadata: metadata.merging(["error": "\(RPCError(anyError: error).message)"]) { $1 })
                return
            }
        }
    }

    /// Returns the version that the controller has now.
    @discardableResult
    private func register(_ client: GRPCClient<HTTP2ClientTransport.Posix>) async throws -> String {
        let version = node.volumes.version
        let announced = try await node.announced()
        var options = CallOptions.defaults
        options.timeout = node.timing.timeout
        let request = ClientRequest(
            message: Registry_V0_RegisterControllerRequest.with {
                $0.nodeID = node.nodeID
                $0.endpoint = "\(announced)"
            }, metadata: [RegistryService.versionKey: "\(version)"])
        try await Registry_V0_Registry.Client(wrapping: client).registerController(request: request, options: options) {
            response in
            _ = try response.message
            spread.learn(response.metadata[stringValues: RegistryService.nodeCountKey].first { _ in true })
        }
        node.succeeded()
        return version
    }

    /// A controller that is not there needs no good-bye, and must not hold up the shutdown.
    private func unregister() async {
        // The task is cancelled; this is what still has to be done.
        await Task {
            var options = CallOptions.defaults
            options.timeout = .seconds(3)
            do {
                try await withClient(to: address, security: node.security) { [options] client in
                    _ = try await Registry_V0_Registry.Client(wrapping: client).unregisterController(
                        .with { $0.nodeID = node.nodeID }, options: options)
                }
                node.logger.info("unregistered", metadata: metadata)
            } catch {
                node.logger.notice(
                    "could not unregister",
                    metadata: metadata.merging(["error": "\(RPCError(anyError: error).message)"]) { $1 })
            }
        }.value
    }
}

/// How long nodes wait before they call a controller that was lost: one node is back within seconds, while thousands
/// spread their calls over a minute. What a controller said last about their number decides.
private final class Spread: Sendable {
    private let nodes = Mutex(1)

    func learn(_ text: String?) {
        guard let text, let count = Int(text), count > 0 else { return }
        nodes.withLock { $0 = count }
    }

    func pause() -> Duration {
        let seconds = min(60, max(2, Double(nodes.withLock { $0 }) * 0.012))
        return .milliseconds(Int64(Double.random(in: 0.1...1) * seconds * 1000))
    }
}
