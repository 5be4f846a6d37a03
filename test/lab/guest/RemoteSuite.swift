import ArgumentParser

/// The node side of volumes on storage targets: NVMe/TCP and iSCSI, against the targets of the guest's own kernel and
/// of tgt; exits with 1 when a step failed.
struct RemoteSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remote", abstract: "Volumes on storage targets, as a node uses them.")

    @OptionGroup var place: Place

    @Flag(help: "Only the steps that fit into a few minutes.")
    var quick = false

    @Option(help: "Ignored: there is one phase.")
    var phase = 1

    @Option(help: "Only the topics whose titles contain this, and the first.")
    var only: String?

    func run() async throws {
        let rest = [
            RemoteLifeSteps.topic, RemotePathSteps.topic, RemoteCrashSteps.topic, RemoteISCSISteps.topic,
        ]
        try await place.run(
            [RemoteLifeSteps.start] + rest.filter { topic in only.map(topic.title.contains) ?? true },
            manager: Driver.remote, quick: quick)
    }
}
