import ArgumentParser
import Registry

/// What the driver does on one machine.
enum Mode: String, ExpressibleByArgument, CaseIterable {
    /// Identity, Controller and Node on one endpoint, for one machine.
    case unified
}

/// What volumes are made of.
enum Manager: String, ExpressibleByArgument, CaseIterable {
    case lvm
}

/// The driver's own flags; `configuration` holds every rule about valid values and combinations.
struct Options: ParsableArguments {
    static let flags = ["mode", "endpoint", "nodeid", "drivername", "deviceManager", "statePath", "metricsListen"]

    @Option(name: .customLong("mode"), help: "What this process does: unified.")
    var mode = Mode.unified
    @Option(name: .customLong("endpoint"), help: "Where the CSI calls are served: unix:///path or tcp://address:port.")
    var endpoint = "unix:///tmp/pmem-csi.sock"
    @Option(name: .customLong("nodeid"), help: "The CSI id of this node; Kubernetes' name of the node.")
    var nodeID = "nodeid"
    @Option(name: .customLong("drivername"), help: "The CSI name of this driver, in domain style.")
    var driverName = "pmem-csi.intel.com"
    @Option(name: .customLong("deviceManager"), help: "What volumes are made of: lvm.")
    var deviceManager = Manager.lvm
    @Option(name: .customLong("statePath"), help: "Directory of the volume records (default: /var/lib/<drivername>).")
    var statePath = ""
    @Option(name: .customLong("metricsListen"), help: "address:port of the Prometheus metrics; none when empty.")
    var metricsListen = ""

    func configuration() throws -> DriverConfiguration {
        guard Self.isDomainName(driverName) else {
            throw ValidationError(
                "flag -drivername: \"\(driverName)\" is not a name in domain style of at most 63 letters, digits, dashes and dots"
            )
        }
        guard !nodeID.isEmpty, nodeID.utf8.count <= 63 else {
            throw ValidationError(
                "flag -nodeid: \"\(nodeID)\" must have 1 to 63 bytes, since it is a topology value too")
        }
        let statePath = statePath.isEmpty ? "/var/lib/\(driverName)" : statePath
        guard statePath.hasPrefix("/") else {
            throw ValidationError("flag -statePath: \"\(statePath)\" is not an absolute path")
        }
        do {
            return DriverConfiguration(
                endpoint: try Endpoint(endpoint), nodeID: nodeID, driverName: driverName, statePath: statePath,
                metricsListen: metricsListen.isEmpty ? nil : metricsListen)
        } catch {
            throw ValidationError("flag -endpoint: \(error)")
        }
    }

    /// CSI, GetPluginInfoResponse.name: at most 63 characters, beginning and ending with a letter or digit.
    private static func isDomainName(_ name: String) -> Bool {
        name.utf8.count <= 63 && name.wholeMatch(of: /[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?/) != nil
    }
}

/// The flags, checked; what `Assembly` builds from.
struct DriverConfiguration: Sendable {
    let endpoint: Endpoint
    let nodeID: String
    let driverName: String
    let statePath: String
    let metricsListen: String?
}
