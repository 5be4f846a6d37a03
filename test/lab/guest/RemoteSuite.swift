import ArgumentParser

/// The node side of volumes on storage targets: NVMe/TCP and iSCSI, against the targets of the guest's own kernel and
/// of tgt; exits with 1 when a step failed.
struct RemoteSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remote", abstract: "Volumes on storage targets, as a node uses them.")

    @OptionGroup var place: Place

    @Flag(help: "Only the steps that fit into a few minutes.")
    var quick = false

    @Option(help: "1: on a fresh machine. 2: after a reboot with the same records.")
    var phase = 1

    @Option(help: "Only the topics whose titles contain this, and the first.")
    var only: String?

    func run() async throws {
        guard phase == 1 else {
            return try await place.run(
                [RemoteRebootSteps.record, RemoteLifeSteps.start, RemoteRebootSteps.afterwards], manager: "spdk",
                mode: "node", quick: quick)
        }
        let rest = [
            RemoteLifeSteps.topic, RemotePathSteps.topic, RemoteCrashSteps.topic, RemoteISCSISteps.topic,
        ]
        try await place.run(
            [RemoteLifeSteps.start] + rest.filter { topic in only.map(topic.title.contains) ?? true }
                + [RemoteRebootSteps.before],
            manager: "spdk", mode: "node", quick: quick)
    }
}
