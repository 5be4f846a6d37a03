import CSIProto
import ClusterProto
import GRPCCore
import Glibc
import LVM
import Logging
import Ndctl
import Registry
import SwiftProtobuf

/// `csictl status`: everything at a glance. The driver is asked for its volumes, room and nodes, this machine for regions
/// and groups; what cannot be asked is said among what needs attention, and never hides the rest. What is somebody else's to
/// show is a note.
struct Status {
    private let endpoint: Endpoint
    private let timeout: Duration
    private let isJSON: Bool

    init(_ options: Options) throws {
        for argument in options.arguments where argument.drop(while: { $0 == "-" }) != "json" {
            throw UsageError("status has no \(argument); it takes -json")
        }
        isJSON = !options.arguments.isEmpty
        endpoint = try options.endpoint
        timeout = min(options.timeout, .seconds(30))
    }

    func run() async {
        let report = await report()
        print(isJSON ? report.json.text : report.text)
    }

    private func report() async -> StatusReport {
        var report = StatusReport()
        do {
            try await withClient(to: endpoint) { client in try await askDriver(client, &report) }
        } catch {
            report.attention.append("driver at \(endpoint): \(RPCError(anyError: error).message)")
        }
        do {
            // A machine without persistent memory, such as a controller's, has none to report.
            let regions = try Ndctl().snapshot()
            report.add(regions: regions)
            if !regions.isEmpty { try await addGroups(&report) }
        } catch {
            report.attention.append("this machine's regions and groups: \(error)")
        }
        return report
    }

    private func addGroups(_ report: inout StatusReport) async throws {
        guard Self.canAskLVM else {
            report.notes.append("groups: only root on the node can see them; this process may not use device-mapper")
            return
        }
        let logger = Logger(label: "csictl", factory: { _ in SwiftLogNoOpLogHandler() })
        report.add(groups: try await LVM(logger: logger).groups().filter { $0.name.hasPrefix("ndbus") })
    }

    /// In a controller's pod sysfs shows the machine's regions, and lvm could only fail.
    private static var canAskLVM: Bool {
        let descriptor = open("/dev/mapper/control", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return true
    }

    private func askDriver(_ client: Client, _ report: inout StatusReport) async throws {
        var options = CallOptions.defaults
        options.timeout = timeout
        let info = try await Csi_V1_Identity.Client(wrapping: client).getPluginInfo(.init(), options: options)
        let controller = Csi_V1_Controller.Client(wrapping: client)
        var state = "ready"
        do {
            let probe = try await Csi_V1_Identity.Client(wrapping: client).probe(.init(), options: options)
            if probe.hasReady, !probe.ready.value { state = "starting" }
        } catch let error as RPCError {
            state = error.message
        }
        report.add(driver: info, state: state)
        do {
            let volumes = try await pages { token in
                let page = try await controller.listVolumes(.with { $0.startingToken = token }, options: options)
                return (page.entries, page.nextToken)
            }
            report.add(volumes: volumes)
            report.add(room: try await controller.getCapacity(.init(), options: options))
        } catch let error as RPCError where error.code == .unimplemented {
            // A node's own socket: its controller has the volumes.
            report.notes.append("volumes: this is a node's driver; ask its controller for them")
        }
        do {
            let cluster = Pmemcsi_V0_Cluster.Client(wrapping: client)
            report.add(nodes: try await cluster.listNodes(.init(), options: options).nodes)
        } catch let error as RPCError where error.code == .unimplemented {
            // Only a controller has nodes.
        }
    }

    private func pages<Entry: Sendable>(
        _ page: (_ token: String) async throws -> (entries: [Entry], next: String)
    ) async throws -> [Entry] {
        var (entries, next) = try await page("")
        while !next.isEmpty {
            let more = try await page(next)
            entries += more.entries
            next = more.next
        }
        return entries
    }
}
