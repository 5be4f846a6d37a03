import AsyncHTTPClient
import CSIProto
import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Logging
import Registry
import SPDK
import ServiceLifecycle
import StandIn
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

let mib: Int64 = 1 << 20
let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A controller for stand-ins of SPDK, with clients on its real socket, and the file that says who they are.
struct World: Sendable {
    let targets: [StandIn]
    let ports: [Int]
    let pool: SPDKPool
    let directory: String
    let identity: Csi_V1_Identity.Client<HTTP2ClientTransport.Posix>
    let controller: Csi_V1_Controller.Client<HTTP2ClientTransport.Posix>
}

/// As spdk-csi's users write it.
func configuration(_ ports: [Int], type: String = "nvme-tcp", more: String = "") -> String {
    let nodes = ports.enumerated().map { index, port in
        """
        {"name":"node\(index)","rpcURL":"http://127.0.0.1:\(port)","targetType":"\(type)","targetAddr":"10.0.0.\(index + 1)"\(more)}
        """
    }
    return "{\"nodes\":[\(nodes.joined(separator: ","))]}"
}

func secrets(_ count: Int) -> String {
    let tokens = (0..<count).map {
        "{\"name\":\"node\($0)\",\"username\":\"spdkcsiuser\",\"password\":\"spdkcsipass\"}"
    }
    return "{\"rpcTokens\":[\(tokens.joined(separator: ","))]}"
}

func write(_ text: String, to path: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }

/// `mounted`: the secrets are in a file, so that no call needs to bring them.
func withWorld(
    _ targets: [StandIn], type: String = "nvme-tcp", more: String = "", mounted: Bool = true,
    _ body: @escaping @Sendable (World) async throws -> Void
) async throws {
    let directory = try TemporaryDirectory()
    try await serving(targets[...], []) { ports in
        let path = directory.path
        try write(configuration(ports, type: type, more: more), to: "\(path)/config.json")
        if mounted { try write(secrets(ports.count), to: "\(path)/secret.json") }
        let http = HTTPClient.forSPDK()
        let gate = OperationGate()
        let pool = SPDKPool(
            configuration: try WatchedFile("\(path)/config.json", isOptional: false, logger: quiet) {
                node throws(ConfigurationError) in try SPDKConfiguration(node)
            },
            secrets: try WatchedFile("\(path)/secret.json", isOptional: true, logger: quiet) {
                node throws(ConfigurationError) in try SPDKSecrets(node)
            }, http: http, driverName: "csi.spdk.io", gate: gate, logger: quiet)
        let endpoint = try Endpoint(unix: "\(path)/csi.sock")
        let server = GRPCService(
            endpoint: endpoint,
            services: [
                IdentityService(name: "csi.spdk.io", version: "1", pool: pool),
                ControllerService(pool: pool, gate: gate),
            ], interceptors: [CallLog(logger: quiet, redact: Redaction.text)], logger: quiet)
        let group = ServiceGroup(services: [server], logger: quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            _ = try await server.listeningEndpoint
            do {
                try await withClient(to: endpoint) { client in
                    try await body(
                        World(
                            targets: targets, ports: ports, pool: pool, directory: path,
                            identity: .init(wrapping: client), controller: .init(wrapping: client)))
                }
            } catch {
                Issue.record(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
        try await http.shutdown()
    }
}

private func serving(
    _ targets: ArraySlice<StandIn>, _ ports: [Int], _ body: @escaping @Sendable ([Int]) async throws -> Void
) async throws {
    guard let target = targets.first else { return try await body(ports) }
    let server = try await RawServer(target.handle)
    try await server.serving {
        try await serving(targets.dropFirst(), ports + [server.port], body)
    }
}

/// Waits for what happens soon by itself.
func eventually(
    within limit: Duration = .seconds(60), at location: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else {
            Issue.record("it did not happen in \(limit)", sourceLocation: location)
            return
        }
        try await Task.sleep(for: .milliseconds(50))
    }
}

func expect(
    _ code: RPCError.Code, _ words: String..., at location: SourceLocation = #_sourceLocation,
    _ call: () async throws -> Void
) async {
    do {
        try await call()
        Issue.record("the call succeeded; expected \(code)", sourceLocation: location)
    } catch let error as RPCError {
        #expect(error.code == code, "\(error.message)", sourceLocation: location)
        for word in words { #expect(error.message.contains(word), "\(error.message)", sourceLocation: location) }
    } catch {
        Issue.record(error, sourceLocation: location)
    }
}

extension World {
    func create(
        _ name: String, size: Int64 = 8 * mib, limit: Int64 = 0, _ parameters: [String: String] = [:],
        from source: Csi_V1_VolumeContentSource? = nil, secrets: [String: String] = [:]
    ) async throws -> Csi_V1_Volume {
        try await controller.createVolume(
            .with {
                $0.name = name
                $0.capacityRange.requiredBytes = size
                $0.capacityRange.limitBytes = limit
                $0.volumeCapabilities = [Self.capability()]
                $0.parameters = parameters
                $0.secrets = secrets
                if let source { $0.volumeContentSource = source }
            }
        ).volume
    }

    func delete(_ id: String) async throws { _ = try await controller.deleteVolume(.with { $0.volumeID = id }) }

    func publish(
        _ id: String, to node: String, mode: Csi_V1_VolumeCapability.AccessMode.Mode = .singleNodeWriter
    ) async throws -> [String: String] {
        try await controller.controllerPublishVolume(
            .with {
                $0.volumeID = id
                $0.nodeID = node
                $0.volumeCapability = Self.capability(mode)
            }
        ).publishContext
    }

    func unpublish(_ id: String, from node: String) async throws {
        _ = try await controller.controllerUnpublishVolume(
            .with {
                $0.volumeID = id
                $0.nodeID = node
            })
    }

    func snapshot(_ name: String, of id: String) async throws -> Csi_V1_Snapshot {
        try await controller.createSnapshot(
            .with {
                $0.name = name
                $0.sourceVolumeID = id
            }
        ).snapshot
    }

    func deleteSnapshot(_ id: String) async throws {
        _ = try await controller.deleteSnapshot(.with { $0.snapshotID = id })
    }

    static func capability(
        _ mode: Csi_V1_VolumeCapability.AccessMode.Mode = .singleNodeWriter
    ) -> Csi_V1_VolumeCapability {
        .with {
            if mode == .multiNodeMultiWriter { $0.block = .init() } else { $0.mount.fsType = "ext4" }
            $0.accessMode.mode = mode
        }
    }
}

extension Csi_V1_VolumeContentSource {
    static func snapshot(_ id: String) -> Self { .with { $0.snapshot.snapshotID = id } }
    static func volume(_ id: String) -> Self { .with { $0.volume.volumeID = id } }
}

func uuid(_ id: String) -> String { String(id.split(separator: ":").last ?? "") }

func store(_ name: String = "lvs", size: Int64 = 1024 * mib) -> Store { Store(name, size: UInt64(size)) }
