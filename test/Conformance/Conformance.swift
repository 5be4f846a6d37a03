import ArgumentParser
import FoundationEssentials
import GRPCCore
import Glibc
import Registry

/// Holds a CSI driver on this machine against the specification, through nothing but its endpoint and the kernel.
@main
struct Conformance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "csi-conformance", abstract: "Checks and fuzzes a CSI driver at its endpoint.",
        subcommands: [RunCommand.self, FuzzCommand.self])
}

/// What both commands need to know.
struct Place: ParsableArguments {
    @Option(name: .customLong("endpoint", withSingleDash: true), help: "The driver's endpoint: unix:///path.")
    var endpoint: String
    @Option(
        name: .customLong("nodeEndpoint", withSingleDash: true),
        help: "Where the node calls go, if another process than the controller answers them.")
    var nodeEndpoint: String?
    @Option(name: .customLong("work", withSingleDash: true), help: "A directory of this program's own, for mounts.")
    var work = "/tmp/csi-conformance"
    @Option(name: .customLong("log", withSingleDash: true), help: "The driver's log, to be searched for secrets.")
    var log: String?
    @Option(name: .customLong("size", withSingleDash: true), help: "Bytes of a volume; large ones are a multiple.")
    var size: Int64 = 16 * MiB
    @Option(name: .customLong("fs", withSingleDash: true), help: "The file systems to try, with commas between them.")
    var filesystems = "ext4"
    @Option(name: .customLong("parameter", withSingleDash: true), help: "key=value for every creation; repeatable.")
    var parameters: [String] = []
    @Option(name: .customLong("mutable", withSingleDash: true), help: "key=value that ControllerModifyVolume may set.")
    var mutable: [String] = []

    func settings() throws -> Settings {
        guard work.hasPrefix("/"), work.split(separator: "/").count > 1 else {
            throw ValidationError("flag -work: \"\(work)\" is not an absolute path below some directory")
        }
        try Disk.makeDirectory(work)
        guard let path = realpath(work, nil) else { throw Disk.failure("resolve", work) }
        defer { free(path) }
        return Settings(
            size: size, filesystems: filesystems.split(separator: ",").map(String.init),
            parameters: try Self.map(parameters), mutable: try Self.map(mutable), log: log,
            work: String(cString: path))
    }

    /// One connection to each endpoint for the whole run.
    func withDriver(run: String? = nil, _ body: (Driver) async throws -> Void) async throws {
        let settings = try settings()
        let run = run ?? String(UInt32.random(in: .min ... .max), radix: 16)
        try await withClient(to: try Endpoint(endpoint)) { first in
            guard let nodeEndpoint else {
                return try await body(try await Driver(client: Clients(first: first), settings: settings, run: run))
            }
            try await withClient(to: try Endpoint(nodeEndpoint)) { node in
                let clients = Clients(first: first, node: node)
                try await body(try await Driver(client: clients, settings: settings, run: run))
            }
        }
    }

    private static func map(_ words: [String]) throws -> [String: String] {
        var map: [String: String] = [:]
        for word in words {
            guard let sign = word.firstIndex(of: "=") else { throw ValidationError("\"\(word)\" is not key=value") }
            map[String(word[..<sign])] = String(word[word.index(after: sign)...])
        }
        return map
    }
}
