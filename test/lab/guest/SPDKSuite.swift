import ArgumentParser

/// Volumes on an SPDK storage node, from CreateVolume to a mount and back: the whole driver over NVMe/TCP; exits with 1
/// when a step failed.
struct SPDKSuite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spdk", abstract: "Volumes on an SPDK storage node: the stand-in's, or a real one's.")

    @OptionGroup var place: Place

    @Flag(help: "Only the steps that fit into a few minutes.")
    var quick = false

    @Option(help: "Only the topics whose titles contain this, and the first.")
    var only: String?

    func run() async throws {
        let node = StorageNode(shared: place.shared)
        let steps = SPDKSteps(node: node)
        let rest = [steps.life, steps.access, steps.losses] + (node.isReal ? [steps.copies] : []) + [steps.iscsi]
        try await place.run(
            [steps.start] + rest.filter { topic in only.map(topic.title.contains) ?? true }, manager: "spdk",
            quick: quick)
    }
}
