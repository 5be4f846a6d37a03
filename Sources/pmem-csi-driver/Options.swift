import ArgumentParser
import DeviceManager
import Registry

/// What the driver does.
enum Mode: String, ExpressibleByArgument, CaseIterable {
    /// Identity, Controller and Node on one endpoint, for one machine.
    case unified
    /// Identity and Controller on one endpoint, for the nodes that register.
    case controller
    /// Identity and Node on one endpoint, and the controller calls for controllers.
    case node
}

/// The values of -deviceManager.
enum ManagerChoice: ExpressibleByArgument, Equatable {
    /// Volumes of this machine, or of the nodes.
    case local(ManagerKind)
    /// Volumes of SPDK storage nodes.
    case spdk

    /// pmem-csi's first name for direct is taken, too.
    init?(argument: String) {
        if argument == "spdk" {
            self = .spdk
        } else if let kind = ManagerKind(rawValue: argument == "ndctl" ? ManagerKind.direct.rawValue : argument) {
            self = .local(kind)
        } else {
            return nil
        }
    }
}

/// The driver's own flags; `configuration` holds every rule about valid values and combinations.
struct Options: ParsableArguments {
    static let flags =
        [
            "mode", "endpoint", "nodeid", "drivername", "deviceManager", "statePath", "metricsListen",
            "snapshotFreezeSeconds",
        ] + ThinOptions.flags + FileOptions.flags + ClusterOptions.flags
    static let booleans = SPDKOptions.booleans

    @Option(
        name: .customLong("mode"),
        help: "What this process does: unified (all, on one machine; the default), controller or node.")
    var mode: Mode?
    @Option(
        name: .customLong("endpoint"),
        help: """
            Where the CSI calls are served: unix:///path or tcp://address:port (default: unix:///tmp/pmem-csi.sock, \
            with -deviceManager=spdk unix:///tmp/spdkcsi.sock).
            """)
    var endpoint = ""
    @Option(
        name: .customLong("nodeid"),
        help: "The CSI id of this node; Kubernetes' name of the node (default: nodeid; with SPDK it must be given).")
    var nodeID = ""
    @Option(
        name: .customLong("drivername"),
        help: """
            The CSI name of this driver, in domain style (default: pmem-csi.intel.com, with -deviceManager=spdk \
            csi.spdk.io).
            """)
    var driverName = ""
    @Option(
        name: .customLong("deviceManager"),
        help: "What volumes are made of: lvm (the default), direct (or ndctl), file, or spdk: on storage nodes.")
    var deviceManager: ManagerChoice?
    @OptionGroup var spdk: SPDKOptions
    @Option(
        name: .customLong("statePath"),
        help: """
            Directory of the volume records and files (default: /var/lib/<drivername>); in -mode=controller of the \
            creations in flight (default: /var/lib/<drivername>-controller).
            """)
    var statePath = ""
    @Option(name: .customLong("metricsListen"), help: "address:port of the Prometheus metrics; none when empty.")
    var metricsListen = ""
    @Option(
        name: .customLong("snapshotFreezeSeconds"),
        help: "Seconds that writers may have to wait while a mounted file system is copied.")
    var snapshotFreezeSeconds = 10
    @OptionGroup var thin: ThinOptions
    @OptionGroup var file: FileOptions
    @OptionGroup var cluster: ClusterOptions

    func configuration() throws -> DriverConfiguration {
        let choice = try spdk.choice(deviceManager)
        let mode = try spdk.mode(mode)
        let manager: ManagerKind = if case .local(let kind) = choice { kind } else { .lvm }
        let isSPDK = choice == .spdk
        let driverName = driverName.isEmpty ? isSPDK ? "csi.spdk.io" : "pmem-csi.intel.com" : driverName
        guard !isSPDK || !nodeID.isEmpty else {
            throw ValidationError(
                "flag -nodeid is missing: targets of storage nodes know this node by a name that is made from it")
        }
        let nodeID = nodeID.isEmpty ? "nodeid" : nodeID
        guard Self.isDomainName(driverName) else {
            throw ValidationError(
                "flag -drivername: \"\(driverName)\" is not a name in domain style of at most 63 letters, digits, dashes and dots"
            )
        }
        guard !nodeID.isEmpty, nodeID.utf8.count <= 63 else {
            throw ValidationError(
                "flag -nodeid: \"\(nodeID)\" must have 1 to 63 bytes, since it is a topology value too")
        }
        guard (0...3600).contains(snapshotFreezeSeconds) else {
            throw ValidationError("flag -snapshotFreezeSeconds: \(snapshotFreezeSeconds) is not between 0 and 3600")
        }
        let statePath = statePath.isEmpty ? Self.defaultStatePath(driverName, mode) : statePath
        guard statePath.hasPrefix("/") else {
            throw ValidationError("flag -statePath: \"\(statePath)\" is not an absolute path")
        }
        let thin = try thin.provisioning(choice)
        let capacity = try file.limit(manager)
        // Storage nodes are between a controller and its nodes; they need not know each other.
        let cluster = try cluster.configuration(isSPDK ? .unified : mode)
        do {
            return DriverConfiguration(
                mode: mode, endpoint: try Endpoint(spdk.endpoint(endpoint, isSPDK)), nodeID: nodeID,
                driverName: driverName,
                deviceManager: manager, isSPDK: isSPDK, statePath: statePath, capacity: capacity,
                metricsListen: metricsListen.isEmpty ? nil : metricsListen,
                snapshotFreeze: .seconds(snapshotFreezeSeconds), thin: thin, cluster: cluster)
        } catch {
            throw ValidationError("flag -endpoint: \(error)")
        }
    }

    /// A controller may run on the machine of a node.
    private static func defaultStatePath(_ driverName: String, _ mode: Mode) -> String {
        "/var/lib/\(driverName)" + (mode == .controller ? "-controller" : "")
    }

    /// CSI, GetPluginInfoResponse.name: at most 63 characters, beginning and ending with a letter or digit.
    private static func isDomainName(_ name: String) -> Bool {
        name.utf8.count <= 63 && name.wholeMatch(of: /[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?/) != nil
    }
}

/// The flags, checked; what `Assembly` builds from.
struct DriverConfiguration: Sendable {
    let mode: Mode
    let endpoint: Endpoint
    let nodeID: String
    let driverName: String
    let deviceManager: ManagerKind
    /// Volumes are on storage nodes, and `deviceManager` means nothing.
    let isSPDK: Bool
    let statePath: String
    /// Bytes that all files of volumes may have together; nil for all that there is.
    let capacity: UInt64?
    let metricsListen: String?
    /// How long the writers of a mounted file system may have to wait for a copy of it.
    let snapshotFreeze: Duration
    let thin: ThinProvisioning
    /// Nil in -mode=unified.
    let cluster: ClusterConfiguration?
}
