package import ArgumentParser
import Glibc
import Logging

/// The root command of one of the package's programs, for `@main`. It reads the flags as `FlagSyntax` says and ends
/// the process: status 0 when `run` returns, otherwise a status above 0 and the reason on standard error and in the
/// file named by `TERMINATION_LOG_PATH`.
package protocol ProgramCommand: AsyncParsableCommand {
    static var syntax: FlagSyntax { get }
}

extension ProgramCommand {
    package static func main() async {
        await main(Array(CommandLine.arguments.dropFirst()), environment: ProgramEnvironment.variables())
    }

    package static func main(_ arguments: [String], environment: [String: String]) async {
        do {
            let arguments = try syntax.normalize(arguments, environment: environment)
            var command = try await asyncParseAsRoot(arguments)
            // For -help it is a command of ArgumentParser's own, which says the help by throwing it.
            let isOurs = command is Self
            do {
                if var command = command as? any AsyncParsableCommand {
                    try await command.run()
                } else {
                    try command.run()
                }
            } catch {
                ProgramFailure(error, of: Self.self, hasStarted: isOurs).end(environment)
            }
        } catch {
            ProgramFailure(error, of: Self.self, hasStarted: false).end(environment)
        }
    }
}

/// The environment of the process as a dictionary.
package enum ProgramEnvironment {
    package static func variables() -> [String: String] {
        var result: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let parts = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 {
                result[String(parts[0])] = String(parts[1])
            }
            next += 1
        }
        return result
    }
}

/// Why a program ends other than by returning from `run`: help and version are of this kind too.
struct ProgramFailure {
    /// What ends up in the termination log; empty if there is nothing to say.
    let message: String
    let status: Int32
    /// What is printed, and to which stream; a log record takes its place where logging has begun.
    private let screen: String
    private let isLogged: Bool

    init(_ error: any Error, of command: (some ParsableCommand).Type, hasStarted: Bool) {
        let isOurs = error is ExitCode || error is CleanExit || error is ValidationError
        if hasStarted && !isOurs {
            message = String(describing: error)
            status = EXIT_FAILURE
            screen = "Error: \(message)"
            isLogged = LogState.isReady
        } else if let error = error as? FlagError {
            // Before ArgumentParser sees it, and with its own status for wrong usage.
            message = error.message
            status = ExitCode.validationFailure.rawValue
            screen = "Error: \(message)"
            isLogged = false
        } else {
            message = command.message(for: error)
            status = command.exitCode(for: error).rawValue
            screen = command.fullMessage(for: error)
            isLogged = false
        }
    }

    func end(_ environment: [String: String]) -> Never {
        if status != EXIT_SUCCESS && !message.isEmpty {
            writeTerminationLog(environment["TERMINATION_LOG_PATH"] ?? "")
        }
        if isLogged {
            Logger(label: "program").critical("the program failed", metadata: ["error": "\(message)"])
        } else if !screen.isEmpty {
            Output.write(screen, to: status == EXIT_SUCCESS ? STDOUT_FILENO : STDERR_FILENO)
        }
        exit(status)
    }

    private func writeTerminationLog(_ path: String) {
        guard !path.isEmpty else { return }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            Output.write("cannot write the termination log \(path): \(reason)", to: STDERR_FILENO)
            return
        }
        Output.write(message, to: descriptor)
        close(descriptor)
    }
}
