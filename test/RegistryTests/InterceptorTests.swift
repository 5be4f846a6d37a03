import CSIProto
import CSIServer
import GRPCCore
import Logging
import SwiftProtobuf
import TestSupport
import Testing

@testable import Registry
@testable import pmem_csi_driver

/// 4,096 bytes, which are 12,288 in a header.
private let longest = String(repeating: "é", count: RPCError.longestMessage / 2)

struct PlainError: Error, CustomStringConvertible {
    let description = "the group pmem is full"
}

struct ConvertibleError: Error, RPCErrorConvertible {
    var rpcErrorCode: RPCError.Code { .resourceExhausted }
    var rpcErrorMessage: String { "no room" }
}

@Suite("Interceptors", .timeLimit(.minutes(5)))
struct InterceptorTests {
    let directory: TemporaryDirectory
    let log = LogRecorder()
    let metrics = PrometheusMetrics()

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func interceptors(_ level: Logger.Level) -> [any ServerInterceptor] {
        [
            CallLog(logger: log.logger(level)) { message in
                guard var request = message as? Csi_V1_CreateVolumeRequest else { return "\(type(of: message))" }
                request.secrets = request.secrets.mapValues { _ in "***" }
                return (try? request.jsonString()) ?? ""
            },
            CallMetrics(driverName: "d", factory: metrics),
        ]
    }

    @Test(
        "every error reaches the client with a code and a text",
        arguments: [
            (PlainError(), RPCError.Code.internalError, "the group pmem is full"),
            (ConvertibleError(), .resourceExhausted, "no room"),
            (RPCError(code: .notFound, message: "no such volume"), .notFound, "no such volume"),
            (CancellationError(), .cancelled, "the call was cancelled"),
            // As long as is allowed, and one character more; the mark has three bytes.
            (RPCError(code: .aborted, message: longest), .aborted, longest),
            (RPCError(code: .aborted, message: "é" + longest), .aborted, longest.dropLast(2) + "…"),
        ] as [(any Error, RPCError.Code, String)])
    func errors(_ error: any Error, _ code: RPCError.Code, _ message: String) async throws {
        let endpoint = try directory.socket()
        let service = service(endpoint, TestIdentity { throw error }, interceptors: interceptors(.info))
        try await running(service) { _ in
            _ = try await service.listeningEndpoint
            let seen = await #expect(throws: RPCError.self) { try await probe(endpoint) }
            #expect(seen?.code == code)
            #expect(seen?.message == message)
        }
        let line = try #require(log.lines.first)
        #expect(line.contains("code=\(code.specificationName)") && line.contains("error=\(message)"))
        #expect(line.hasPrefix(code == .internalError ? "error" : "notice"))
        let label = "grpc_status_code=\"\(code.labelName)\",method_name=\"/csi.v1.Identity/Probe\""
        #expect(await metrics.text().contains("csi_plugin_operations_seconds_count{driver_name=\"d\",\(label)} 1\n"))
    }

    @Test("calls to the other side of a cluster are counted with their codes")
    func peerCalls() async throws {
        let endpoint = try directory.socket()
        let calls = PeerCallMetrics("pmem_csi_node_operations_seconds", dimensions: [("node", "n")], factory: metrics)
        let probe = { @Sendable in
            try await withClient(to: endpoint, interceptors: [calls]) { client in
                _ = try await Csi_V1_Identity.Client(wrapping: client).probe(.init())
            }
        }
        let isFirst = OnceFlag()
        let service = service(
            endpoint,
            TestIdentity {
                defer { isFirst.set() }
                if isFirst.isSet { throw ConvertibleError() }
            })
        try await running(service) { _ in
            _ = try await service.listeningEndpoint
            try await probe()
            await #expect(throws: RPCError.self) { try await probe() }
        }
        let text = await metrics.text()
        for code in ["OK", "ResourceExhausted"] {
            let labels = "grpc_status_code=\"\(code)\",method_name=\"/csi.v1.Identity/Probe\",node=\"n\""
            #expect(text.contains("pmem_csi_node_operations_seconds_count{\(labels)} 1\n"), "\(text)")
        }
    }

    @Test("a controller's calls are counted under the node that is called")
    func nodeCalls() async throws {
        let authority = try TestAuthority()
        func security(_ own: String, to peer: PeerName) throws -> MutualTLS {
            MutualTLS(credentials: try Credentials(authority.files(own), logger: quiet), peer: peer, logger: quiet)
        }
        let service = GRPCService(
            endpoint: try Endpoint("tcp://127.0.0.1:0"), services: [TestIdentity()],
            security: try security("pmem-node-controller", to: .registry), logger: quiet)
        let caller = NodeCaller(security: try security("pmem-registry", to: .nodeController)) { [metrics] node in
            [PeerCallMetrics("pmem_csi_node_operations_seconds", dimensions: [("node", node)], factory: metrics)]
        }
        try await running(service) { _ in
            let endpoint = try await service.listeningEndpoint
            for id in ["n1", "n2"] {
                let node = NodeRegistry.Node(
                    id: id, endpoint: endpoint, isRegistered: true, lastSeen: .now, version: "", peer: nil)
                // It has no such service, which is an answer, too.
                await #expect(throws: NodeError.self) {
                    try await caller.call(node) { client, options in
                        _ = try await client.getCapacity(.init(), options: options)
                    }
                }
            }
        }
        let text = await metrics.text()
        for id in ["n1", "n2"] {
            let labels =
                "grpc_status_code=\"Unimplemented\",method_name=\"/csi.v1.Controller/GetCapacity\",node=\"\(id)\""
            #expect(text.contains("pmem_csi_node_operations_seconds_count{\(labels)} 1\n"), "\(text)")
        }
    }

    @Test("calls are logged at info, probes at debug, contents at debug")
    func levels() async throws {
        let endpoint = try directory.socket()
        for level in [Logger.Level.info, .debug] {
            let service = service(endpoint, interceptors: interceptors(level))
            try await running(service) { _ in
                _ = try await service.listeningEndpoint
                _ = try await probe(endpoint)
            }
            #expect(log.lines.isEmpty == (level == .info))
        }
        #expect(log.lines.count == 1)
        let line = try #require(log.lines.first)
        #expect(line.hasPrefix("debug call done code=OK method=csi.v1.Identity/Probe ms="))
        #expect(line.contains("peer=unix:"))
    }

    @Test("secrets pass only through the redactor", arguments: [Logger.Level.trace, .debug, .info])
    func secrets(_ level: Logger.Level) async throws {
        let endpoint = try directory.socket()
        let service = GRPCService(
            endpoint: endpoint, services: [TestController()], interceptors: interceptors(level), logger: quiet)
        try await running(service) { _ in
            _ = try await service.listeningEndpoint
            _ = try await withClient(to: endpoint) { client in
                let request = Csi_V1_CreateVolumeRequest.with {
                    $0.name = "volume"
                    $0.secrets = ["password": "hunter2"]
                }
                return try await client.unary(
                    request: ClientRequest(message: request), descriptor: TestController.descriptor,
                    serializer: BinaryCoder(), deserializer: BinaryCoder(), options: .defaults
                ) { try $0.message as Csi_V1_CreateVolumeRequest }
            }
        }
        let text = log.lines.joined(separator: "\n")
        #expect(!text.contains("hunter2"))
        #expect(text.contains("***") == (level < .info))
        #expect(text.contains("call done code=OK"))
    }

    @Test("no call stays in flight when it is done, and the request id is the task's")
    func inFlight() async throws {
        let endpoint = try directory.socket()
        let service = service(endpoint, interceptors: interceptors(.trace))
        let id = try await running(service) { _ in
            _ = try await service.listeningEndpoint
            return try await withClient(to: endpoint) {
                try await Csi_V1_Identity.Client(wrapping: $0).getPluginInfo(Csi_V1_GetPluginInfoRequest()).name
            }
        }
        #expect(id.count == 8)
        #expect(log.lines.allSatisfy { $0.contains("request=\(id)") })
        let sample = "pmem_csi_operations_in_flight{method_name=\"/csi.v1.Identity/GetPluginInfo\"} 0\n"
        #expect(await metrics.text().contains(sample))
    }
}

/// Answers CreateVolume with its own request: the log sees a message with secrets in both directions.
struct TestController: RegistrableRPCService {
    static let descriptor = MethodDescriptor(fullyQualifiedService: "csi.v1.Controller", method: "CreateVolume")

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        router.registerHandler(
            forMethod: Self.descriptor, deserializer: BinaryCoder<Csi_V1_CreateVolumeRequest>(),
            serializer: BinaryCoder<Csi_V1_CreateVolumeRequest>()
        ) { request, _ in
            let message = try await ServerRequest(stream: request).message
            return StreamingServerResponse(single: ServerResponse(message: message))
        }
    }
}

/// Protobuf's binary form for the test that bypasses the generated client.
struct BinaryCoder<M: SwiftProtobuf.Message>: MessageSerializer, MessageDeserializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: M) throws -> Bytes {
        Bytes(try message.serializedBytes() as [UInt8])
    }

    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> M {
        try M(serializedBytes: bytes.withUnsafeBytes { Array($0) })
    }
}
