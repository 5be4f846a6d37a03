import Glibc

/// Prints the table as the steps end, and counts.
///
/// Owned by the command that runs a suite.
struct Report {
    private(set) var passed = 0
    private(set) var failures: [String] = []
    private var title: String?

    mutating func run(_ topics: [Topic], in lab: Lab, quick: Bool) async {
        var stopped: String?
        for topic in topics {
            title = topic.title
            for step in topic.steps where step.quick || !quick {
                if let stopped {
                    row("FAILED", 0, step.name, "not run, because this failed: \(stopped)")
                    failures.append(step.name)
                } else if await !run(step, in: lab), step.essential {
                    stopped = step.name
                }
            }
        }
    }

    private mutating func run(_ step: Step, in lab: Lab) async -> Bool {
        let start = ContinuousClock.now
        lab.driver.note("==== \(step.name)")
        do {
            let seen = try await step.body(lab)
            row("ok", milliseconds(since: start), step.name, seen)
            passed += 1
            return true
        } catch {
            row("FAILED", milliseconds(since: start), step.name, text(of: error))
            failures.append(step.name)
            return false
        }
    }

    /// The last lines.
    func close() {
        if !failures.isEmpty { say("") }
        for failure in failures { say("FAILED: \(failure)") }
        say("\n\(passed) passed, \(failures.count) failed")
    }

    private mutating func row(_ result: String, _ milliseconds: Int64, _ name: String, _ seen: String) {
        if let title { say("\n\(title)") }
        title = nil
        say("  \(pad(result, 6)) \(pad("\(milliseconds)", 6, left: true)) ms  \(pad(name, 72)) \(seen)")
    }
}

func milliseconds(since start: ContinuousClock.Instant) -> Int64 {
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return seconds * 1000 + attoseconds / 1_000_000_000_000_000
}

func pad(_ text: String, _ width: Int, left: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return left ? space + text : text + space
}

/// A line on standard output, at once.
func say(_ line: String) {
    var bytes = Array((line + "\n").utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}
