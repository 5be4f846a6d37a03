import FoundationEssentials
import Glibc

/// A program that was started and not waited for.
///
/// Whoever starts it must `wait`, once; its output is in the file that was given.
struct Child: Sendable {
    let process: pid_t

    /// Standard output and error are appended to the file.
    static func start(_ command: [String], output: String) throws -> Child {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var process: pid_t = 0
        let status = posix_spawnp(&process, command.first ?? "", &actions, nil, &arguments, &variables)
        guard status == 0 else {
            throw Failure("cannot start \(command.joined(separator: " ")): \(String(cString: strerror(status)))")
        }
        return Child(process: process)
    }

    func signal(_ number: Int32) { kill(process, number) }

    /// The exit status, minus the signal's number where one ended it, or nil while it runs.
    func status() -> Int32? {
        var status: Int32 = 0
        guard waitpid(process, &status, WNOHANG) == process else { return nil }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : -signal
    }

    func wait(atMost limit: Duration) async throws -> Int32 {
        let end = ContinuousClock.now + limit
        while true {
            if let status = status() { return status }
            guard ContinuousClock.now < end else {
                signal(SIGKILL)
                throw Failure("process \(process) did not end within \(limit) and was killed")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}

/// A program for the length of the body, killed afterwards.
func withProgram<R>(_ command: String..., body: (Child) async throws -> R) async throws -> R {
    let child = try Child.start(command, output: "/dev/null")
    let result: Result<R, any Error>
    do { result = .success(try await body(child)) } catch { result = .failure(error) }
    child.signal(SIGKILL)
    _ = try await child.wait(atMost: .seconds(10))
    return try result.get()
}

/// What a program that has ended left.
struct Output: Sendable {
    let command: String
    let status: Int32
    let text: String
    let milliseconds: Int64

    /// The run, if it succeeded.
    func succeeded() throws -> Output {
        try check(status == 0, "\(command): exit status \(status): \(text.suffix(600))")
        return self
    }
}

/// Runs a program to its end.
func execute(_ command: String..., within limit: Duration = .seconds(120)) async throws -> Output {
    try await execute(command, within: limit)
}

func execute(_ command: [String], within limit: Duration = .seconds(120)) async throws -> Output {
    let file = "/run/lab/output-\(UInt64.random(in: 0 ... .max))"
    defer { unlink(file) }
    let start = ContinuousClock.now
    let status = try await Child.start(command, output: file).wait(atMost: limit)
    return Output(
        command: command.joined(separator: " "), status: status, text: try Kernel.read(file),
        milliseconds: milliseconds(since: start))
}
