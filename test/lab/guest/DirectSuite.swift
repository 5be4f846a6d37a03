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
        try await place.run(topics, manager: "direct", quick: quick)
    }

    private var topics: [Topic] {
        if phase == 2 { return [DirectRebootSteps.afterwards] }
        let rest = [
            DirectLifeSteps.topic, DirectChoiceSteps.topic, DirectCapacitySteps.topic, DirectErasureSteps.topic,
            DirectCopySteps.topic, DirectSafetySteps.topic, DirectCrashSteps.topic, AdoptionSteps.topic,
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
            NamespaceSteps.foreign
        ])

    static func foreign() async throws -> DirectView.Namespace? {
        try await DirectView.namespaces(named: "someone-else").first
    }
}
