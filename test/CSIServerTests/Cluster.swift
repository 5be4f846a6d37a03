import CSIProto
import ClusterProto
import DeviceManager
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Logging
import Registry
import ServiceLifecycle
import SwiftProtobuf
import TestSupport

@testable import CSIServer

/// Controllers and nodes of one test, as the assembly puts them together, in one process: real servers, real TLS, devices
/// in memory. Each can be stopped as by a crash and started again.
struct Cluster: Sendable {
    let directory: String
    let authority: TestAuthority
    let logger: Logger

    func security(_ own: String, to peer: PeerName) throws -> MutualTLS {
        MutualTLS(credentials: try Credentials(authority.files(own), logger: logger), peer: peer, logger: logger)
    }
}

/// Runs the body with a cluster that has nothing yet.
func withCluster(logger: Logger = quiet, _ body: (Cluster) async throws -> Void) async throws {
    try await withDirectory { directory in
        try await body(Cluster(directory: directory, authority: try TestAuthority(), logger: logger))
    }
}

/// A running controller.
struct TestController: Sendable {
    let pool: ClusterPool
    let registry: NodeRegistry
    /// Where nodes register.
    let endpoint: Registry.Endpoint
    let csi: Csi_V1_Controller.Client<HTTP2ClientTransport.Posix>
    let cluster: Pmemcsi_V0_Cluster.Client<HTTP2ClientTransport.Posix>

    func create(_ request: Csi_V1_CreateVolumeRequest) async throws -> Csi_V1_Volume {
        try await csi.createVolume(request).volume
    }

    func delete(_ id: String) async throws { _ = try await csi.deleteVolume(.with { $0.volumeID = id }) }

    func publish(_ id: String, to node: String) async throws {
        _ = try await csi.controllerPublishVolume(
            .with {
                $0.volumeID = id
                $0.nodeID = node
                $0.volumeCapability = .mount()
            })
    }

    func list() async throws -> [Csi_V1_ListVolumesResponse.Entry] { try await csi.listVolumes(.init()).entries }

    func ids() async throws -> [String] { try await list().map(\.volume.volumeID) }

    /// Returns once the nodes are in this state, told from what the registry shows.
    func wait(for nodes: String..., registered: Bool = true) async throws {
        while !nodes.allSatisfy({ (registry.node($0)?.isRegistered ?? false) == registered }) {
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

extension Cluster {
    /// A controller for the body; `state` names its directory, one that was there before or a new one.
    @discardableResult
    func withController<R: Sendable>(
        _ state: String = "controller", at endpoint: Registry.Endpoint? = nil,
        _ body: (TestController) async throws -> R
    ) async throws -> R {
        let registry = NodeRegistry()
        let pool = ClusterPool(
            registry: registry, nodes: NodeCaller(security: try security("pmem-registry", to: .nodeController)),
            state: try ControllerState(directory: "\(directory)/\(state)"), driverName: Driver.name,
            manager: InMemoryDeviceManager(), logger: logger)
        let nodes = GRPCService(
            endpoint: try endpoint ?? Registry.Endpoint("tcp://127.0.0.1:0"),
            services: [RegistryService(registry: registry, logger: logger) { try await pool.read($0, known: $1) }],
            interceptors: [CallLog(logger: logger, redact: Redaction.text)],
            security: try security("pmem-registry", to: .nodeController),
            closed: { _ = registry.connectionClosed($0) }, logger: logger)
        let socket = try Registry.Endpoint(unix: "\(directory)/\(state).sock")
        let sidecars = GRPCService(
            endpoint: socket,
            services: [ControllerService(pool: pool, gate: OperationGate()), ClusterService(pool: pool)],
            interceptors: [CallLog(logger: logger, redact: Redaction.text)], logger: logger)
        return try await running([nodes, sidecars]) {
            _ = try await sidecars.listeningEndpoint
            let endpoint = try await nodes.listeningEndpoint
            return try await withClient(to: socket) { client in
                try await body(
                    TestController(
                        pool: pool, registry: registry, endpoint: endpoint, csi: .init(wrapping: client),
                        cluster: .init(wrapping: client)))
            }
        }
    }

    /// A node for the body, which registers with these controllers; `via` is what stands between it and its callers.
    @discardableResult
    func withNode<R: Sendable>(
        _ name: String, _ manager: InMemoryDeviceManager = InMemoryDeviceManager(),
        controllers: [Registry.Endpoint], via proxy: CuttableProxy? = nil, real: Announcement<Registry.Endpoint>? = nil,
        timing: Registration.Timing = Registration.Timing(),
        _ body: (LocalPool) async throws -> R
    ) async throws -> R {
        let pool = LocalPool(
            manager: manager, records: try VolumeRecords(directory: "\(directory)/\(name)", logger: logger),
            topology: Topology(driverName: Driver.name, node: name), shutdown: OnceFlag(), logger: logger)
        try await pool.start()
        let service = GRPCService(
            endpoint: try Registry.Endpoint("tcp://127.0.0.1:0"),
            services: [ControllerService(pool: pool, gate: OperationGate())],
            interceptors: [CallLog(logger: logger, acceptsRequestIDs: true, redact: Redaction.text)],
            security: try security("pmem-node-controller", to: .registry), logger: logger)
        let registration = Registration(
            nodeID: name,
            announced: {
                let own = try await service.listeningEndpoint
                real?.announce(.success(own))
                return if let proxy { try await proxy.start() } else { own }
            }, controllers: controllers, security: try security("pmem-node-controller", to: .registry), volumes: pool,
            timing: timing, logger: logger)
        return try await running([service, registration]) { try await body(pool) }
    }

    private func running<R: Sendable>(_ services: [any Service], _ body: () async throws -> R) async throws -> R {
        let group = ServiceGroup(services: services, logger: quiet)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let result = await Result { try await body() }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return try result.get()
        }
    }
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }

    var error: (any Error)? {
        if case .failure(let error) = self { error } else { nil }
    }
}

extension Csi_V1_CreateVolumeRequest {
    func on(requisite: [String] = [], preferred: [String] = []) -> Self {
        func topology(_ node: String) -> Csi_V1_Topology { .with { $0.segments = ["\(Driver.name)/node": node] } }
        return with {
            $0.accessibilityRequirements.requisite = requisite.map(topology)
            $0.accessibilityRequirements.preferred = preferred.map(topology)
        }
    }
}

extension Csi_V1_Volume {
    var node: String { accessibleTopology.first?.segments.values.first ?? "" }
}

/// Tries until it works; the suite's time limit ends it.
@discardableResult
func eventually<R: Sendable>(_ body: () async throws -> R) async throws -> R {
    while true {
        do {
            return try await body()
        } catch {
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// Waits for what must come; the suite's time limit ends it.
func until(_ isSo: () async throws -> Bool) async throws {
    while try await !isSo() { try await Task.sleep(for: .milliseconds(20)) }
}
