import CSIProto
import DeviceManager
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Logging
import Registry
import ServiceLifecycle
import TestSupport

@testable import CSIServer

/// One start of the driver, as the assembly puts it together, and clients on its real socket.
///
/// A test may start it again on the same directory and device manager, as after a crash.
struct Driver: Sendable {
    static let name = "pmem-csi.example.com"

    let pool: LocalPool
    let gate: OperationGate
    let shutdown: OnceFlag
    let identity: Csi_V1_Identity.Client<HTTP2ClientTransport.Posix>
    let controller: Csi_V1_Controller.Client<HTTP2ClientTransport.Posix>
    let node: Csi_V1_Node.Client<HTTP2ClientTransport.Posix>

    var records: VolumeRecords { pool.records }

    func recovery() -> Recovery { Recovery(pool: pool, gate: gate) }

    /// What the recovery does in the background with copies that were cut off.
    func removeCutOffCopies() async throws {
        for record in records.all where record.mayHoldCopy {
            if let id = VolumeID(record.id) { try await pool.finishRemoval(id) }
        }
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs the driver for the body; it is ready unless `isReady` is false, when the body may bring it up.
@discardableResult
func withDriver<R: Sendable>(
    _ manager: any DeviceManager, in directory: String, node: String = "node-1", isReady: Bool = true,
    logger: Logger = quiet, _ body: (Driver) async throws -> R
) async throws -> R {
    let shutdown = OnceFlag()
    let pool = LocalPool(
        manager: manager, records: try await records(in: "\(directory)/state", logger),
        topology: Topology(driverName: Driver.name, node: node), shutdown: shutdown, logger: logger)
    if isReady { try await pool.start() }
    let gate = OperationGate()
    let endpoint = try Endpoint(unix: "\(directory)/csi.sock")
    let server = GRPCService(
        endpoint: endpoint,
        services: [
            IdentityService(name: Driver.name, version: "1.2.3", pool: pool),
            ControllerService(pool: pool, gate: gate), NodeService(pool: pool, gate: gate),
        ],
        interceptors: [CallLog(logger: logger, redact: Redaction.text)], logger: logger)
    return try await running(server) {
        _ = try await server.listeningEndpoint
        return try await withClient(to: endpoint) { client in
            try await body(
                Driver(
                    pool: pool, gate: gate, shutdown: shutdown, identity: .init(wrapping: client),
                    controller: .init(wrapping: client), node: .init(wrapping: client)))
        }
    }
}

/// Waits for the lock of a driver before, whose last connection may still be on its way out.
private func records(in directory: String, _ logger: Logger) async throws -> VolumeRecords {
    for _ in 0..<500 {
        do throws(DeviceError) {
            return try VolumeRecords(directory: directory, logger: logger)
        } catch {
            guard error.code == .unavailable else { throw error }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
    return try VolumeRecords(directory: directory, logger: logger)
}

/// The same with a device manager in memory and a directory of its own.
@discardableResult
func withDriver<R: Sendable>(
    size: UInt64 = 1 << 30, _ body: (Driver, InMemoryDeviceManager) async throws -> R
) async throws -> R {
    let manager = InMemoryDeviceManager(size: size)
    return try await withDirectory { directory in
        try await withDriver(manager, in: directory) { try await body($0, manager) }
    }
}

func running<R: Sendable>(_ service: GRPCService, _ body: () async throws -> R) async throws -> R {
    let group = ServiceGroup(services: [service], logger: quiet)
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        let result = try await body()
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
        return result
    }
}
