import ArgumentParser
import FoundationEssentials
import Glibc
import StandIn

/// A storage node for the lab: answers the calls of a driver over HTTP as SPDK's proxy does, and shows its volumes
/// through this kernel's NVMe-oF target and tgt.
@main
struct StandInProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spdk-stand-in", abstract: "Stands for an SPDK target and its HTTP proxy.")

    @Option(help: "The port of the proxy, on 127.0.0.1.")
    var port = 9009

    @Option(help: "Where the volumes' files are, and what is known of them.")
    var directory: String

    @Option(help: "MiB of the store lvs0.")
    var size = 1024

    func run() async throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let exporter = KernelExporter(directory: directory)
        // What a run before has left in the kernel ended with it, as SPDK's would.
        try exporter.removeAll()
        let target = StandIn(
            stores: [Store("lvs0", size: UInt64(size) << 20)], exporter: exporter,
            lvols: try exporter.volumes(store: "lvs0"))
        try await RawServer(port: port, target.handle).run()
    }
}
