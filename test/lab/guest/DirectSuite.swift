import ArgumentParser

/// pmem-csi-driver -deviceManager=direct on real regions; exits with 1 when a step failed.
struct DirectSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "direct", abstract: "Volumes that are namespaces, in two phases.")

    @OptionGroup var place: Place

    @Option(help: "1: from fresh NVDIMMs. 2: after a reboot on the same.")
    var phase = 1

    @Flag(help: "Only the steps that fit into a few minutes.")
    var quick = false

    @Option(help: "Only the topics whose titles contain one of these texts, with commas between, and the first two.")
    var only: String?

    func run() async throws {
        let lab = try await place.lab(manager: "direct")
        var report = Report()
        await report.run(topics, in: lab, quick: quick)
        _ = try? await lab.driver.stop()
        report.close()
        if !report.failures.isEmpty { throw ExitCode(1) }
    }

    private var topics: [Topic] {
        if phase == 2 { return [DirectRebootSteps.afterwards] }
        let rest = [
            DirectLifeSteps.topic, DirectChoiceSteps.topic, DirectCapacitySteps.topic, DirectErasureSteps.topic,
            DirectCopySteps.topic, DirectSafetySteps.topic, DirectCrashSteps.topic,
        ]
        return [DirectStartSteps.topic, StartSteps.topic]
            + rest.filter { topic in only?.split(separator: ",").contains(where: topic.title.contains) ?? true }
            + [DirectRebootSteps.before]
    }
}

/// Somebody else's namespace comes first, as on a machine that is used for other things too.
enum DirectStartSteps {
    static let topic = Topic(
        title: "Regions",
        steps: [
            Step("a foreign namespace is there first", essential: true) { _ in
                let made = try await execute(
                    "ndctl", "create-namespace", "-r", "region0", "-m", "fsdax", "-s", "128M", "-n", "someone-else")
                _ = try made.succeeded()
                return "128 MiB fsdax in region0"
            }
        ])

    static func foreign() async throws -> DirectView.Namespace? {
        try await DirectView.namespaces(named: "someone-else").first
    }
}
