import CSIProto
import GRPCCore
import Glibc
import Logging
import Registry
import ServiceLifecycle
import SwiftProtobuf
import Synchronization

/// A new directory that is removed with its plain files when the owner goes.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/registry-tests.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw RPCError(code: .internalError, message: "mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in ["a.sock", "file"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }

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

/// Keeps every record as one line of text.
final class LogRecorder: Sendable {
    private let recorded = Mutex<[String]>([])

    var lines: [String] { recorded.withLock { $0 } }

    func logger(_ level: Logger.Level) -> Logger {
        Logger(label: "test") { _ in Handler(recorder: self, logLevel: level) }
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level

        init(recorder: LogRecorder, logLevel: Logger.Level) {
            self.recorder = recorder
            self.logLevel = logLevel
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
            let text = all.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            recorder.recorded.withLock { $0.append("\(event.level) \(event.message) \(text)") }
        }
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
