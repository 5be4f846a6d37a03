import GRPCCore

/// Runs checks and prints their table as they end.
///
/// Owned by the `run` command; after each check it takes back what was made and looks for what is left.
struct Table {
    private struct Score {
        var passed = 0
        var failed = 0
        var notOffered = 0
    }

    let driver: Driver
    private(set) var failures: [String] = []
    private var scores: [(String, Score)] = []
    private var isGone = false

    init(driver: Driver) {
        self.driver = driver
    }

    mutating func run(_ topics: [Topic], coreOnly: Bool) async {
        for topic in topics {
            say("\n\(topic.title)")
            var score = Score()
            for check in topic.checks where (check.isCore || !coreOnly) && !isGone {
                let missing = check.needs.filter { !driver.offers($0) }
                if !missing.isEmpty {
                    score.notOffered += 1
                    row("not offered", check.title, missing.map(\.description).joined(separator: ", "), .zero)
                } else if await run(check, in: topic) {
                    score.passed += 1
                } else {
                    score.failed += 1
                }
            }
            scores.append((topic.title, score))
        }
    }

    private mutating func run(_ check: Check, in topic: Topic) async -> Bool {
        let start = ContinuousClock.now
        let before = try? await driver.listed()
        var problems: [String] = []
        var note = ""
        do { note = try await check.body(driver) } catch { problems.append(describe(error)) }
        let duration = ContinuousClock.now - start
        if !problems.isEmpty, let ended = await driver.ended() {
            problems.append(ended.description)
            isGone = ended == .forGood
        }
        problems += await driver.undo()
        // One row has reported it; the next must not have to.
        driver.ledger.abandon()
        problems += await driver.leftovers(since: before ?? [])
        row(problems.isEmpty ? "passed" : "FAILED", check.title, (problems + [note]).joined(separator: "; "), duration)
        if !problems.isEmpty {
            failures.append(
                "\(topic.title): \(check.title): \(problems.joined(separator: "; ").split(whereSeparator: \.isNewline).joined(separator: " "))"
            )
        }
        return problems.isEmpty
    }

    /// A failure that belongs to no check.
    mutating func fail(_ problem: String) {
        failures.append(problem)
        say("FAILED: \(problem)")
    }

    func close() {
        say(
            "\n\(column("", 34))\(column("passed", 8, right: true))\(column("failed", 8, right: true))"
                + column("not offered", 13, right: true))
        var total = Score()
        for (title, score) in scores {
            line(title, score)
            total.passed += score.passed
            total.failed += score.failed
            total.notOffered += score.notOffered
        }
        line("all", total)
        for failure in failures { say("FAILED: \(failure)") }
    }

    private func line(_ title: String, _ score: Score) {
        say(
            column(title, 34) + column("\(score.passed)", 8, right: true) + column("\(score.failed)", 8, right: true)
                + column("\(score.notOffered)", 13, right: true))
    }

    private func row(_ result: String, _ title: String, _ note: String, _ duration: Duration) {
        let note = note.split(whereSeparator: \.isNewline).joined(separator: " ").prefix(600)
        let time = duration == .zero ? "" : "\(milliseconds(duration)) ms"
        say("  \(column(result, 11)) \(column(time, 9, right: true))  \(column(title, 70)) \(note)")
    }
}
