import ArgumentParser
import FoundationEssentials
import Glibc

/// Runs inside a guest with two emulated NVDIMMs, as root.
@main
struct LabGuest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab-guest", abstract: "Suites for a guest with emulated persistent memory.",
        subcommands: [LVMSuite.self, DirectSuite.self, RemoteSuite.self, SPDKSuite.self, Comparison.self, Demo.self])
}

struct Place: ParsableArguments {
    @Option(help: "Where the programs are.")
    var programs = ".build/debug"

    @Option(help: "The folder that outlives the guest, for logs and state.")
    var shared = ProcessInfo.processInfo.environment["LAB_SHARED"] ?? "/run/lab/shared"

    func lab(manager: String = "lvm", mode: String = "unified", records: String? = nil) async throws -> Lab {
        try await Lab(programs: programs, shared: shared, manager: manager, mode: mode, records: records)
    }

    /// Throws an `ExitCode` of 1 when a step failed.
    func run(_ topics: [Topic], manager: String, mode: String = "unified", quick: Bool) async throws {
        let lab = try await lab(manager: manager, mode: mode)
        var report = Report()
        await report.run(topics, in: lab, quick: quick)
        _ = try? await lab.driver.stop()
        report.close()
        if !report.failures.isEmpty { throw ExitCode(1) }
    }
}

/// pmem-csi-driver -deviceManager=lvm on real namespaces and groups; exits with 1 when a step failed.
struct LVMSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "lvm", abstract: "Volumes on LVM, in two phases.")

    @OptionGroup var place: Place

    @Option(help: "1: from fresh NVDIMMs. 2: after a reboot on the same.")
    var phase = 1

    @Flag(help: "Only the steps that fit into a few minutes.")
    var quick = false

    @Option(help: "Only the topics whose titles contain this, and the first three.")
    var only: String?

    func run() async throws {
        try await place.run(topics, manager: "lvm", quick: quick)
    }

    private var topics: [Topic] {
        if phase == 2 { return [RebootSteps.afterwards] }
        let base = [NamespaceSteps.topic, GroupSteps.topic, StartSteps.topic]
        let rest = [
            LifeSteps.topic, CapacitySteps.topic, ErasureSteps.topic, ForeignSteps.topic, ErrorSteps.topic,
            RecordSteps.topic, GrowthSteps.topic, SnapshotSteps.topic, ThinSteps.topic, CrashSteps.topic,
            CopyCrashSteps.topic, AdoptionSteps.topic,
        ]
        return base + rest.filter { topic in only.map(topic.title.contains) ?? true } + [RebootSteps.before]
    }
}
