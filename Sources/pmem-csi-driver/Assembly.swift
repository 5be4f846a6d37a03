import CSIServer
import CoreMetrics
import DeviceManager
import LVM
import Logging
import Program
import Registry
import ServiceLifecycle
import UnixSignals

/// The only place that knows modes and device managers: makes the services of a configuration and runs them.
///
/// They stop in the reverse of their order at SIGTERM or SIGINT: first the CSI server drains, last the metrics end.
struct Assembly {
    private let configuration: DriverConfiguration
    private let logger: Logger
    private let metrics = PrometheusMetrics()
    private let shutdown = OnceFlag()

    init(configuration: DriverConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    func run() async throws {
        // Before anything makes a counter.
        MetricsSystem.bootstrap(metrics)
        metrics.registerProcessMetrics(version: Version.current)
        let pool = try makePool()
        register(pool)
        var services = try metricsServices()
        let gate = OperationGate()
        let server = server(pool, gate)
        services += [
            Recovery(pool: pool, gate: gate), server, StartEnd(server: server), ShutdownNotice(flag: shutdown),
        ]
        let group = ServiceGroup(
            configuration: .init(
                services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger))
        logger.info(
            "starting",
            metadata: [
                "version": "\(Version.current)", "driver": "\(configuration.driverName)",
                "node": "\(configuration.nodeID)", "endpoint": "\(configuration.endpoint)",
            ])
        try await group.run()
    }

    private func makePool() throws -> LocalPool {
        // First: its lock keeps a second driver from the same files.
        let records = try VolumeRecords(directory: configuration.statePath, logger: logger)
        return LocalPool(
            manager: makeManager(for: records), records: records,
            topology: Topology(driverName: configuration.driverName, node: configuration.nodeID),
            freezeLimit: configuration.snapshotFreeze, shutdown: shutdown, logger: logger)
    }

    /// Records may tell of volumes that were made with another device manager.
    private func makeManager(for records: VolumeRecords) -> any DeviceManager {
        let kinds = Set(records.all.compactMap { $0.location.flatMap(ManagerKind.init(location:)) })
        let (own, others) = (configuration.deviceManager, kinds.subtracting([configuration.deviceManager]))
        guard !others.isEmpty else { return makeManager(own) }
        logger.warning(
            "there are volumes of other device managers, which can be looked at, unpublished and deleted only",
            metadata: ["deviceManagers": "\(others.map(\.rawValue).sorted().joined(separator: ", "))"])
        return MixedDeviceManager(
            own, makeManager(own), others: Dictionary(uniqueKeysWithValues: others.map { ($0, makeManager($0)) }),
            logger: logger)
    }

    private func makeManager(_ kind: ManagerKind) -> any DeviceManager {
        switch kind {
        case .lvm:
            LVMDeviceManager(
                driverName: configuration.driverName, lvm: LVM(logger: logger), thin: configuration.thin,
                logger: logger)
        case .direct: DirectDeviceManager(logger: logger)
        case .file:
            FileDeviceManager(
                directory: configuration.statePath, capacity: configuration.capacity, logger: logger)
        }
    }

    private func server(_ pool: LocalPool, _ gate: OperationGate) -> GRPCService {
        GRPCService(
            endpoint: configuration.endpoint,
            services: [
                IdentityService(name: configuration.driverName, version: Version.current, pool: pool),
                ControllerService(pool: pool, gate: gate, topology: pool.topology),
                NodeService(pool: pool, gate: gate),
                ProgressService(board: pool.board),
            ],
            interceptors: [
                CallLog(logger: logger, redact: Redaction.text), CallMetrics(driverName: configuration.driverName),
            ],
            logger: logger)
    }

    private func metricsServices() throws -> [any Service] {
        guard let listen = configuration.metricsListen else { return [] }
        return [try MetricsServer(listen: listen, metrics: metrics, logger: logger)]
    }

    /// Room under the names that pmem-csi used, by namespace mode where there are namespaces.
    private func register(_ pool: LocalPool) {
        let values: [(String, String, @Sendable (Capacity) -> UInt64)] = [
            ("pmem_amount_available", "Bytes free for volumes.", { $0.available }),
            ("pmem_amount_max_volume_size", "Bytes of the largest volume that can be made.", { $0.maximumVolumeSize }),
            ("pmem_amount_managed", "Bytes that volumes can have, free and used.", { $0.total }),
        ]
        let modes: [NamespaceMode?] = pool.defaultParameters.mode == nil ? [nil] : NamespaceMode.allCases
        for mode in modes {
            var parameters = pool.defaultParameters
            parameters.mode = mode
            let nsmode = mode.map { [("nsmode", $0.rawValue)] } ?? []
            for (name, help, value) in values {
                metrics.registerGauge(
                    name: name, help: help,
                    labels: [("node", configuration.nodeID), ("driver_name", configuration.driverName)] + nsmode,
                    simple: true
                ) { [parameters] in
                    guard (try? pool.checkReady()) != nil else { return nil }
                    return (try? await pool.capacity(for: parameters, segments: nil)).map { Double(value($0)) }
                }
            }
        }
    }
}

/// Notices when the start is over.
private struct StartEnd: Service {
    let server: GRPCService

    func run() async throws {
        if (try? await server.listeningEndpoint) != nil { Memory.forgetStart() }
        try? await gracefulShutdown()
    }
}

/// Tells long work of a shutdown before the servers wait for it; the last service, since they stop in reverse.
private struct ShutdownNotice: Service {
    let flag: OnceFlag

    func run() async throws {
        try? await gracefulShutdown()
        flag.set()
    }
}
