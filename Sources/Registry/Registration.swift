package import GRPCCore
package import Logging
import NIOPosix
import ServiceLifecycle

/// Keeps a node registered with every controller: one registration for each address that the endpoints have now.
///
/// A service of the node's process. Each registration is renewed regularly, when the volumes change, and soon after its
/// connection was lost, as when the controller restarted; at the end all are taken back.
package final class Registration: Service {
    package struct Timing: Sendable {
        /// Between two look-ups of the controllers' addresses.
        package var lookup = Duration.seconds(30)
        /// Between two registrations when nothing happens.
        package var refresh = Duration.seconds(60)
        /// More nodes than this leave a controller alone between their calls: a connection costs it 170 KB. That it was
        /// started anew they notice with their next renewal.
        package var connectedNodes = 500
        /// For the controller's answer, which may wait in line behind thousands of nodes.
        package var timeout = Duration.seconds(90)

        package init() {}
    }

    let nodeID: String
    let announced: @Sendable () async throws -> Endpoint
    let security: MutualTLS
    let volumes: any VersionedVolumes
    let timing: Timing
    let interceptors: [any ClientInterceptor]
    let logger: Logger
    private let controllers: [Endpoint]
    private let first: AsyncStream<Void>
    private let firstEnd: AsyncStream<Void>.Continuation

    /// `controllers` are those of `-registryEndpoint`; `announced` is where this node's controller service can be called.
    package init(
        nodeID: String, announced: @escaping @Sendable () async throws -> Endpoint, controllers: [Endpoint],
        security: MutualTLS, volumes: any VersionedVolumes, timing: Timing = Timing(),
        interceptors: [any ClientInterceptor] = [], logger: Logger
    ) {
        self.nodeID = nodeID
        self.announced = announced
        self.controllers = controllers
        self.security = security
        self.volumes = volumes
        self.timing = timing
        self.interceptors = interceptors
        self.logger = logger
        (first, firstEnd) = AsyncStream.makeStream()
    }

    /// Returns when some controller has registered this node; one task may wait for it.
    package func firstSuccess() async {
        for await _ in first {}
    }

    func succeeded() { firstEnd.finish() }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in await keepRegistered() }
    }

    private func keepRegistered() async {
        await withDiscardingTaskGroup { group in
            var links: [Endpoint: Task<Void, Never>] = [:]
            while !Task.isCancelled {
                if let addresses = await addresses() {
                    for (address, link) in links where !addresses.contains(address) {
                        logger.info("a controller is gone", metadata: ["controller": "\(address)"])
                        link.cancel()
                        links[address] = nil
                    }
                    for address in addresses where links[address] == nil {
                        // Unstructured, so that one can be cancelled; the group waits for all of them.
                        let task = Task { await ControllerLink(self, address).run() }
                        links[address] = task
                        group.addTask {
                            await withTaskCancellationHandler {
                                await task.value
                            } onCancel: {
                                task.cancel()
                            }
                        }
                    }
                }
                try? await Task.sleep(for: timing.lookup)
            }
        }
    }

    /// Those of all endpoints; nil when one of them cannot be looked up, since nobody is to be dropped because of that.
    private func addresses() async -> Set<Endpoint>? {
        var found: Set<Endpoint> = []
        for controller in controllers {
            guard case .tcp(let host, let port) = controller.address else {
                found.insert(controller)
                continue
            }
            do {
                let hosts = try await NIOThreadPool.singleton.runIfActive {
                    try HostAddress.resolve(host.isEmpty ? "127.0.0.1" : host, port: port, controller).compactMap(
                        \.literal)
                }
                found.formUnion(hosts.map { Endpoint(address: .tcp(host: $0, port: port)) })
            } catch {
                logger.warning("cannot look up the controller", metadata: ["error": "\(error)"])
                return nil
            }
        }
        return found
    }
}

/// Volumes whose state has a version, which differs after every change and every restart.
package protocol VersionedVolumes: Sendable {
    var version: String { get }
    /// One element after each change, or after several; ends never.
    func changes() -> AsyncStream<Void>
}
