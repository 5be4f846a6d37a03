import ArgumentParser
import CSIProto
import Glibc

/// `fuzz`: mutated requests, counts of their answers, and exit status 1 if one was not answered as it must be.
struct FuzzCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fuzz", abstract: "Sends mutated requests; the same seed sends the same.")

    @OptionGroup var place: Place
    @Option(name: .customLong("count", withSingleDash: true), help: "How many requests.")
    var count = 2000
    @Option(name: .customLong("seed", withSingleDash: true), help: "Where the generator begins.")
    var seed: UInt64 = 1
    @Option(name: .customLong("pid", withSingleDash: true), help: "The driver's process, which must live on.")
    var process: pid_t?
    @Option(
        name: .customLong("state", withSingleDash: true),
        help: "The driver's own directory, where it may do as it likes.")
    var state: String?

    func run() async throws {
        try await place.withDriver(run: "fuzz-\(seed)") { driver in
            let start = ContinuousClock.now
            _ = await driver.explore()
            let outside = try Outside(except: excluded(driver))
            let listed = try await driver.listed()
            let free = driver.offers(.capacity) ? try await driver.free() : 0
            var fuzzer = try await Fuzzer(driver: driver, seed: seed, process: process)
            await fuzzer.run(count)
            var problems = fuzzer.failures
            problems += await driver.undo()
            do { try fuzzer.grounds.check() } catch { problems.append("\(error)") }
            problems += await driver.leftovers(since: listed)
            if driver.offers(.capacity), let now = try? await driver.free(), now != free {
                problems.append("capacity: \(now) instead of \(free)")
            }
            problems += outside.differences(to: try Outside(except: excluded(driver)))
            problems += secrets(driver)
            report(fuzzer, problems, ContinuousClock.now - start)
            if !problems.isEmpty { throw ExitCode(1) }
        }
    }

    private func excluded(_ driver: Driver) -> [String] {
        [driver.settings.work, state, driver.settings.log].compactMap { $0 }
    }

    private func secrets(_ driver: Driver) -> [String] {
        guard let log = driver.settings.log, let text = try? Disk.text(log) else { return [] }
        let lines = text.split(separator: "\n").filter { $0.contains(Driver.marker) }
        return lines.isEmpty ? [] : ["a secret is in \(lines.count) lines of \(log): \(lines[0].prefix(300))"]
    }

    private func report(_ fuzzer: Fuzzer, _ problems: [String], _ duration: Duration) {
        say("")
        for (method, codes) in fuzzer.counts.sorted(by: { $0.key < $1.key }) {
            let counts = codes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            let worst = "\(milliseconds(fuzzer.worst[method] ?? .zero)) ms"
            say("\(column(method, 32))\(column(worst, 10, right: true))  \(counts)")
        }
        let worst = fuzzer.worst.max { $0.value < $1.value }
        say(
            "\n\(fuzzer.sent) requests with seed \(seed) in \(milliseconds(duration)) ms, digest "
                + "\(String(fuzzer.digest, radix: 16)); the slowest answer took "
                + "\(milliseconds(worst?.value ?? .zero)) ms (\(worst?.key ?? "none"))")
        // Those of the requests are above.
        for problem in problems.dropFirst(fuzzer.failures.count) { say("FAILED: \(problem)") }
        say(problems.isEmpty ? "nothing failed" : "\(problems.count) failed")
    }
}
