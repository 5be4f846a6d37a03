import CSIServer
import CoreMetrics
import DeviceManager
import GRPCCore
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
    let configuration: DriverConfiguration
    let logger: Logger
    let metrics = PrometheusMetrics()
    let gate = OperationGate()
    private let shutdown = OnceFlag()

    init(configuration: DriverConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    func run() async throws {
        // Before anything makes a counter.
        MetricsSystem.bootstrap(metrics)
        metrics.registerProcessMetrics(version: Version.current)
        var services = try metricsServices()
        switch (configuration.mode, configuration.cluster) {
        case _ where configuration.isSPDK: services += try spdkServices()
        case (.controller, let cluster?): services += try controllerServices(cluster)
        case (.node, let cluster?): services += try nodeServices(cluster)
        default: services += try unifiedServices()
        }
        services += [CodeTrimming(), ShutdownNotice(flag: shutdown)]
        let group = ServiceGroup(
            configuration: .init(
                services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger))
        logger.info(
            "starting",
            metadata: [
                "version": "\(Version.current)", "driver": "\(configuration.driverName)",
                "mode": "\(configuration.mode.rawValue)", "node": "\(configuration.nodeID)",
                "endpoint": "\(configuration.endpoint)",
            ])
        try await group.run()
    }

    private func unifiedServices() throws -> [any Service] {
        let pool = try makePool()
        let server = server([
            identity(pool), ControllerService(pool: pool, gate: gate), NodeService(pool: pool, gate: gate),
            ProgressService(board: pool.board),
        ])
        return [Recovery(pool: pool, gate: gate), server]
    }

    /// On the CSI socket.
    func server(_ services: [any RegistrableRPCService]) -> GRPCService {
        GRPCService(
            endpoint: configuration.endpoint, services: services, interceptors: interceptors(), logger: logger)
    }

    /// On every socket. Between our own machines, a request keeps the id that it has.
    func interceptors(acceptsRequestIDs: Bool = false) -> [any ServerInterceptor] {
        [
            CallLog(
                logger: logger, acceptsRequestIDs: acceptsRequestIDs, subject: Subject.volume, redact: Redaction.text),
            CallMetrics(driverName: configuration.driverName),
        ]
    }

    func identity(_ pool: any VolumePool) -> IdentityService {
        IdentityService(name: configuration.driverName, version: Version.current, pool: pool)
    }

    /// The volumes of this machine.
    func makePool() throws -> LocalPool {
        // First: its lock keeps a second driver from the same files.
        let records = try VolumeRecords(directory: configuration.statePath, logger: logger)
        let pool = LocalPool(
            manager: makeManager(for: records), records: records,
            topology: Topology(driverName: configuration.driverName, node: configuration.nodeID),
            freezeLimit: configuration.snapshotFreeze, shutdown: shutdown, logger: logger)
        registerRoom(of: pool)
        return pool
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

    func makeManager(_ kind: ManagerKind) -> any DeviceManager {
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

    private func metricsServices() throws -> [any Service] {
        guard let listen = configuration.metricsListen else { return [] }
        return [try MetricsServer(listen: listen, metrics: metrics, logger: logger)]
    }

    /// Room under the names that pmem-csi used, by namespace mode where there are namespaces.
    private func registerRoom(of pool: LocalPool) {
        registerRegions()
        let modes: [NamespaceMode?] = pool.defaultParameters.mode == nil ? [nil] : NamespaceMode.allCases
        for mode in modes {
            var parameters = pool.defaultParameters
            parameters.mode = mode
            let nsmode = mode.map { [("nsmode", $0.rawValue)] } ?? []
            metrics.registerGauges(
                [
                    ("pmem_amount_available", "Bytes free for volumes."),
                    ("pmem_amount_max_volume_size", "Bytes of the largest volume that can be made."),
                    ("pmem_amount_managed", "Bytes that volumes can have, free and used."),
                ],
                labels: [("node", configuration.nodeID), ("driver_name", configuration.driverName)] + nsmode,
                simple: true
            ) { [parameters] in
                guard (try? pool.checkReady()) != nil,
                    let room = try? await pool.capacity(for: parameters, segments: nil)
                else { return nil }
                return [room.available, room.maximumVolumeSize, room.total].map { Double($0) }
            }
        }
    }
}

extension Assembly {
    /// What the machine has of persistent memory, used for volumes or not.
    private func registerRegions() {
        metrics.registerGauge(
            name: "pmem_amount_total", help: "Bytes of all regions of persistent memory.",
            labels: [("node", configuration.nodeID), ("driver_name", configuration.driverName)], simple: true
        ) { ProcessFacts.persistentMemory() }
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
