import CSIProto
import GRPCCore
import Glibc
import Logging
import Registry
import ServiceLifecycle
import SwiftProtobuf
import TestSupport

extension TemporaryDirectory {
    func socket() throws -> Endpoint { try Endpoint(unix: "\(path)/a.sock") }
}

/// The Identity service with a Probe that does what the test says.
struct TestIdentity: Csi_V1_Identity.SimpleServiceProtocol {
    let probe: @Sendable () async throws -> Void

    init(probe: @escaping @Sendable () async throws -> Void = {}) {
        self.probe = probe
    }

    func getPluginInfo(
        request: Csi_V1_GetPluginInfoRequest, context: ServerContext
    ) async throws -> Csi_V1_GetPluginInfoResponse {
        .with { $0.name = CurrentCall.requestID ?? "" }
    }

    func getPluginCapabilities(
        request: Csi_V1_GetPluginCapabilitiesRequest, context: ServerContext
    ) async throws -> Csi_V1_GetPluginCapabilitiesResponse {
        Csi_V1_GetPluginCapabilitiesResponse()
    }

    func probe(request: Csi_V1_ProbeRequest, context: ServerContext) async throws -> Csi_V1_ProbeResponse {
        try await probe()
        return .with { $0.ready = .with { $0.value = true } }
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func service(
    _ endpoint: Endpoint, _ identity: TestIdentity = TestIdentity(), interceptors: [any ServerInterceptor] = [],
    drain: Duration = .seconds(60)
) -> GRPCService {
    GRPCService(
        endpoint: endpoint, services: [identity], interceptors: interceptors, drain: drain, logger: quiet)
}

/// Runs a service for the body, which may shut it down itself, and then shuts it down gracefully.
func running<S: Service, R: Sendable>(
    _ service: S, _ body: (ServiceGroup) async throws -> R
) async throws -> R {
    let group = ServiceGroup(services: [service], logger: quiet)
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        let result = try await body(group)
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
        return result
    }
}

func probe(_ endpoint: Endpoint) async throws -> Csi_V1_ProbeResponse {
    try await withClient(to: endpoint) { try await Csi_V1_Identity.Client(wrapping: $0).probe(Csi_V1_ProbeRequest()) }
}

extension Result where Failure == any Error {
    init(catching body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
