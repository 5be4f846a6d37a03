import ArgumentParser
import CSIProto
import FoundationEssentials
import GRPCCore
import Glibc
import Logging
import Registry
import ServiceLifecycle
import SwiftProtobuf
import UnixSignals

/// Plays the nodes of a large cluster for a real controller, and measures that controller; `test/Simulation/run` runs it.
@main
struct Simulation: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster-simulation", abstract: "Plays thousands of nodes, and measures their controller.",
        subcommands: [Nodes.self, Measure.self])
}

/// Registers nodes with the controller until SIGTERM, by the code that real nodes have.
struct Nodes: AsyncParsableCommand {
    @Option(help: "How many nodes.") var count: Int
    @Option(help: "Volumes of each.") var volumes = 20
    @Option(help: "Where the controller's registry listens.") var registry: String
    @Option(help: "Port of all nodes.") var port: UInt16 = 10001
    @Option(help: "Directory with ca.pem, pmem-node-controller.pem and -key.pem.") var certificates: String

    func run() async throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        var logger = Logger(label: "nodes") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        let files = TLSFiles(
            ca: "\(certificates)/ca.pem", certificate: "\(certificates)/pmem-node-controller.pem",
            key: "\(certificates)/pmem-node-controller-key.pem")
        let security = MutualTLS(
            credentials: try Credentials(files, logger: logger), peer: .registry, logger: logger)
        let nodes = SimulatedNodes(count: count, volumes: volumes, driverName: "pmem-csi.intel.com")
        let server = GRPCService(
            endpoint: try Endpoint("tcp://0.0.0.0:\(port)"), services: [SimulatedController(nodes: nodes)],
            security: security, drain: .seconds(1), logger: logger)
        let controllers = [try Endpoint(registry)]
        let registrations = try (0..<count).map { index in
            let endpoint = try Endpoint("tcp://\(SimulatedNodes.address(index)):\(port)")
            return Registration(
                nodeID: SimulatedNodes.name(index), announced: { endpoint }, controllers: controllers,
                security: security, volumes: SimulatedVolumes(nodes: nodes, index: index), logger: logger)
        }
        let group = ServiceGroup(
            configuration: .init(
                services: ([server] as [any Service] + registrations).map { .init(service: $0) },
                gracefulShutdownSignals: [], cancellationSignals: [.sigterm], logger: logger))
        try? await group.run()
    }
}

/// What one such node tells of its volumes; their changes are told with the next renewal.
private struct SimulatedVolumes: VersionedVolumes {
    let nodes: SimulatedNodes
    let index: Int

    var version: String { nodes.version(index) }

    func changes() -> AsyncStream<Void> { AsyncStream { _ in } }
}

/// Calls the controller as a provisioner would, and prints how long each call took.
struct Measure: AsyncParsableCommand {
    @Option(help: "The controller's CSI socket.") var endpoint: String
    @Option(help: "Volumes to make, one after the other, and to delete again.") var creations = 200
    @Option(help: "A prefix of their names.") var prefix = "measured"

    func run() async throws {
        let endpoint = try Endpoint(endpoint)
        let creations = creations
        try await withClient(to: endpoint) { client in
            let controller = Csi_V1_Controller.Client(wrapping: client)
            var (create, delete, ids) = ([Double](), [Double](), [String]())
            for index in 0..<creations {
                let request = Csi_V1_CreateVolumeRequest.with {
                    $0.name = "\(prefix)-\(index)"
                    $0.capacityRange.requiredBytes = 1 << 30
                    $0.volumeCapabilities = [
                        .with {
                            $0.mount.fsType = "ext4"
                            $0.accessMode.mode = .singleNodeWriter
                        }
                    ]
                }
                create.append(
                    try await milliseconds { ids.append(try await controller.createVolume(request).volume.volumeID) })
            }
            var (pages, total) = ([Double](), 0)
            var request = Csi_V1_ListVolumesRequest.with { $0.maxEntries = 1000 }
            repeat {
                pages.append(
                    try await milliseconds {
                        let page = try await controller.listVolumes(request)
                        total += page.entries.count
                        request.startingToken = page.nextToken
                    })
            } while !request.startingToken.isEmpty
            for id in ids {
                delete.append(
                    try await milliseconds { _ = try await controller.deleteVolume(.with { $0.volumeID = id }) })
            }
            print("CreateVolume: \(summary(create))")
            print("DeleteVolume: \(summary(delete))")
            print(
                "ListVolumes: \(total) volumes in \(pages.count) pages, \(Int(pages.reduce(0, +))) ms together; a page: \(summary(pages))"
            )
        }
    }

    private func milliseconds(_ body: () async throws -> Void) async throws -> Double {
        let start = ContinuousClock.now
        try await body()
        return (ContinuousClock.now - start) / .milliseconds(1)
    }

    private func summary(_ values: [Double]) -> String {
        let sorted = values.sorted()
        func at(_ part: Double) -> String {
            let tenths = Int(sorted[min(sorted.count - 1, Int(part * Double(sorted.count)))] * 10)
            return "\(tenths / 10).\(tenths % 10)"
        }
        return "median \(at(0.5)), p95 \(at(0.95)), worst \(at(1)) ms"
    }
}
