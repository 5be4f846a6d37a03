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
        /// The end of a connection, by its own address.
        case lost(String)
        case refresh, changed
    }

    /// How a connection ended: by itself, or because it is not worth its memory at the controller.
    private enum End {
        case lost
        case closed(_ version: String)
    }

    /// Changes come in bunches, and the controller that caused one knows it already.
    private static let settling = Duration.milliseconds(300)

    private let node: Registration
    private let address: Endpoint
    private let spread = Spread()
    private let used = UsedConnection()

    init(_ node: Registration, _ address: Endpoint) {
        self.node = node
        self.address = address
    }

    private var isLarge: Bool { spread.count > node.timing.connectedNodes }

    private var metadata: Logger.Metadata { ["controller": "\(address)"] }

    func run() async {
        var complaint = ""
        var isRegistered = false
        while !Task.isCancelled {
            do {
                let end = try await stayRegistered {
                    complaint = ""
                    if !isRegistered { node.logger.info("registered with the controller", metadata: metadata) }
                    isRegistered = true
                }
                if case .closed(let version) = end {
                    await waitToRenew(version)
                    continue
                }
                node.logger.notice("lost the connection to the controller", metadata: metadata)
            } catch {
                if Task.isCancelled { break }
                complain(error, &complaint)
            }
            isRegistered = false
            try? await Task.sleep(for: spread.pause())
        }
        await unregister()
    }

    private func complain(_ error: any Error, _ complaint: inout String) {
        let text = RPCError(anyError: error).message + ((error as? RPCError)?.cause.map { ": \($0)" } ?? "")
        if text != complaint {
            node.logger.warning(
                "not registered with the controller", metadata: metadata.merging(["error": "\(text)"]) { $1 })
        }
        complaint = text
    }

    /// Returns when the connection was lost, or is better closed; throws when the controller refuses or is not there.
    private func stayRegistered(_ succeeded: () -> Void) async throws -> End {
        let (events, happen) = AsyncStream<Event>.makeStream()
        return try await withClient(
            to: address, security: node.security, interceptors: node.interceptors + [used],
            configure: { configuration in
                configuration.connection.keepalive = .init(
                    time: .seconds(20), timeout: .seconds(10), allowWithoutCalls: true)
                configuration.connection.maxIdleTime = nil
                configuration.http2.targetWindowSize = 65_535
                configuration.channelDebuggingCallbacks.onCreateTCPConnection = { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ConnectionEnd { happen.yield(.lost($0)) })
                    }
                }
            }
        ) { client in
            let told = try await register(client)
            succeeded()
            if told.isClosing { return .closed(told.version) }
            return await withTaskGroup(of: End?.self) { group in
                group.addTask {
                    await tick(happen)
                    return nil
                }
                group.addTask {
                    for await _ in node.volumes.changes() { happen.yield(.changed) }
                    return nil
                }
                // What changed before anybody listened.
                happen.yield(.changed)
                group.addTask { await follow(events, client, told.version) }
                // The first to end is the last: the connection is lost, or the task cancelled.
                let end = await group.next()
                group.cancelAll()
                return (end ?? nil) ?? .lost
            }
        }
    }

    /// Without a connection, until the next registration is due or the volumes change.
    private func waitToRenew(_ version: String) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await Task.sleep(for: node.timing.refresh * Double.random(in: 0.8...1.2)) }
            group.addTask {
                let changes = node.volumes.changes()
                guard node.volumes.version == version else { return }
                for await _ in changes { return }
            }
            await group.next()
            group.cancelAll()
        }
        try? await Task.sleep(for: Self.settling)
    }

    private func tick(_ happen: AsyncStream<Event>.Continuation) async {
        while (try? await Task.sleep(for: node.timing.refresh * Double.random(in: 0.8...1.2))) != nil {
            happen.yield(.refresh)
        }
    }

    private func follow(
        _ events: AsyncStream<Event>, _ client: GRPCClient<HTTP2ClientTransport.Posix>, _ version: String
    ) async -> End {
        var told = version
        for await event in events {
            if Task.isCancelled { return .lost }
            switch event {
            case .lost(let connection):
                // Those that failed before the registration are none of the controller's business.
                guard connection != used.address else { return .lost }
                continue
            case .changed:
                guard node.volumes.version != told else { continue }
                guard (try? await Task.sleep(for: Self.settling)) != nil else { return .lost }
            case .refresh: break
            }
            do {
                let answer = try await register(client)
                told = answer.version
                if answer.isClosing { return .closed(told) }
            } catch {
                node.logger.notice(
                    "the registration was not renewed",
                    metadata: metadata.merging(["error": "\(RPCError(anyError: error).message)"]) { $1 })
                return .lost
            }
        }
        return .lost
    }

    /// Returns the version that the controller has now, and whether the connection should be closed: where there are
    /// many nodes. The controller knows that then, and does not take its end for the node's.
    private func register(
        _ client: GRPCClient<HTTP2ClientTransport.Posix>
    ) async throws -> (version: String, isClosing: Bool) {
        let wasLarge = isLarge
        let version = try await register(client, isClosing: wasLarge)
        guard isLarge, !wasLarge else { return (version, wasLarge) }
        return (try await register(client, isClosing: true), true)
    }

    private func register(
        _ client: GRPCClient<HTTP2ClientTransport.Posix>, isClosing: Bool
    ) async throws -> String {
        let version = node.volumes.version
        let announced = try await node.announced()
        var options = CallOptions.defaults
        options.timeout = node.timing.timeout
        var metadata: Metadata = [RegistryService.versionKey: "\(version)"]
        if isClosing { metadata.addString("true", forKey: RegistryService.closingKey) }
        let request = ClientRequest(
            message: Registry_V0_RegisterControllerRequest.with {
                $0.nodeID = node.nodeID
                $0.endpoint = "\(announced)"
            }, metadata: metadata)
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
                try await withClient(to: address, security: node.security, interceptors: node.interceptors) {
                    [options] client in
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
        // A controller that was just started counts few yet.
        nodes.withLock { $0 = max(count, $0 * 9 / 10) }
    }

    var count: Int { nodes.withLock { $0 } }

    func pause() -> Duration {
        let seconds = min(60, max(2, Double(nodes.withLock { $0 }) * 0.012))
        return .milliseconds(Int64(Double.random(in: 0.1...1) * seconds * 1000))
    }
}
