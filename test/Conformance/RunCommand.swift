import ArgumentParser
import CSIProto
import FoundationEssentials

/// `run`: the checks, a table of them, and exit status 1 if one fails.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs the checks of everything that the driver offers.")

    @OptionGroup var place: Place
    @Flag(name: .customLong("core", withSingleDash: true), help: "Only what fits into a minute.")
    var isCore = false
    @Option(
        name: .customLong("only", withSingleDash: true),
        help: "Only topics and checks with one of these texts in their titles, separated by commas.")
    var only: String?
    @Option(
        name: .customLong("require", withSingleDash: true),
        help: "Features without a capability that must be there: block, ephemeral, names of file systems.")
    var required = ""

    func run() async throws {
        try await place.withDriver { driver in
            let info = driver.facts.plugin
            say("\(info.name) \(info.vendorVersion) on node \(driver.facts.node.nodeID)")
            var table = Table(driver: driver)
            await explore(driver, &table)
            await table.run(topics, coreOnly: isCore)
            finish(driver, &table)
            table.close()
            try? Disk.remove(driver.settings.work)
            if !table.failures.isEmpty { throw ExitCode(1) }
        }
    }

    private var topics: [Topic] {
        guard let texts = only?.split(separator: ",") else { return Catalog.topics }
        return Catalog.topics.compactMap { topic in
            if texts.contains(where: topic.title.contains) { return topic }
            let checks = topic.checks.filter { check in texts.contains(where: check.title.contains) }
            return checks.isEmpty ? nil : Topic(topic.title, checks)
        }
    }

    /// Tries what no capability tells, and prints all that is offered.
    private func explore(_ driver: Driver, _ table: inout Table) async {
        let problems = await driver.explore()
        let offered = driver.facts.offered.union(driver.extra).map(\.description)
        say("offered: \(offered.sorted().joined(separator: ", "))")
        for (feature, problem) in problems { say("not offered: \(feature): \(problem)") }
        for name in required.split(separator: ",") where !offered.contains(String(name)) {
            table.fail("\(name) is required and not offered")
        }
    }

    /// Every call of the run had the marker among its secrets.
    private func finish(_ driver: Driver, _ table: inout Table) {
        guard let log = driver.settings.log else { return }
        do {
            let lines = try Disk.text(log).split(separator: "\n").filter { $0.contains(Driver.marker) }
            if let line = lines.first {
                table.fail("a secret is in \(lines.count) lines of \(log): \(line.prefix(400))")
            }
        } catch {
            table.fail(describe(error))
        }
    }
}
