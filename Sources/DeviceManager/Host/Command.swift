import Glibc
import Subprocess
import SystemPackage

/// The program is in none of the system's folders.
package struct CommandMissing: Error {}

/// Runs one of the system's programs with a bounded output and a bounded time. The program gets a fixed environment,
/// and is killed when the time is over or the calling task is cancelled.
package enum Command {
    package struct Outcome: Sendable {
        package let succeeded: Bool
        package let status: String
        /// Standard output and error as they came, without empty lines.
        package let lines: [String]
    }

    /// Longer than any message of mkfs.
    private static let outputLimit = 1 << 16
    private static let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]

    package static func exists(_ program: String) -> Bool { path(of: program) != nil }

    private static func path(of program: String) -> String? {
        folders.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    package static func run(_ program: String, _ arguments: [String], timeout: Duration) async throws -> Outcome {
        guard let path = path(of: program) else { throw CommandMissing() }
        return try await withThrowingTaskGroup(of: Outcome?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await run(path: path, arguments) }
            group.addTask {
                try await Task.sleep(for: timeout)
                return nil
            }
            guard let outcome = try await group.next() ?? nil else {
                throw HostError(.failed, "\(program) took longer than \(timeout) and was stopped")
            }
            return outcome
        }
    }

    private static func run(path: String, _ arguments: [String]) async throws -> Outcome {
        let result = try await Subprocess.run(
            .path(FilePath(path)), arguments: Arguments(arguments),
            environment: .custom(["PATH": folders.joined(separator: ":"), "LC_ALL": "C"]),
            output: .string(limit: outputLimit), error: .combinedWithOutput)
        let lines = result.standardOutput.split(whereSeparator: \.isNewline).map(String.init)
        return Outcome(
            succeeded: result.terminationStatus.isSuccess, status: "\(result.terminationStatus)", lines: lines)
    }
}
