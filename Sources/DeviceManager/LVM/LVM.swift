import CoreMetrics
package import Logging
import Subprocess
import SystemPackage

/// The `lvm` command. `run` is the only door to it: one run at a time in the whole process, with our settings, a time
/// limit and counted; everything else here is arguments and decoding. A run costs tens of milliseconds, so callers
/// keep what a report said and prove it current with `MetadataSequence`.
package struct LVM: Sendable {
    /// What a successful run wrote. Standard output is the data, standard error only for people.
    package struct Output: Sendable {
        package let stdout: String
        package let stderr: String
    }

    /// Extents of the groups we make.
    package static let extentSize: UInt64 = 4 << 20
    private static let line = SerialLine()

    package let settings: Settings
    private let logger: Logger

    package init(settings: Settings = Settings(), logger: Logger = Logger(label: "lvm")) {
        self.settings = settings
        self.logger = logger
    }

    /// Runs `lvm` with these arguments, the command's name first. The caller's cancellation does not reach lvm: half
    /// done work would be worse than a late answer.
    @discardableResult
    package func run(_ arguments: [String]) async throws(LVMError) -> Output {
        try await Self.line.perform { await bounded(arguments) }.get()
    }
}

extension LVM {
    /// A child in uninterruptible sleep outlives even SIGKILL; it is waited for, because nothing may run beside it.
    private func bounded(_ arguments: [String]) async -> Result<Output, LVMError> {
        await withTaskGroup(of: Result<Output, LVMError>?.self) { group in
            group.addTask { await counted(arguments) }
            group.addTask {
                try? await Task.sleep(for: settings.timeout)
                return nil
            }
            var late = false
            while let result = await group.next() {
                // Cancelling ends whichever is left: the timer, or lvm through its teardown sequence.
                group.cancelAll()
                guard let result else {
                    late = true
                    continue
                }
                if late, case .failure(let error) = result {
                    return .failure(timedOut(error))
                }
                return result
            }
            return .failure(LVMError(.failed, "the run was lost", command: arguments.joined(separator: " ")))
        }
    }

    private func timedOut(_ error: LVMError) -> LVMError {
        LVMError(
            .timedOut, "no end within \(settings.timeout); it was stopped", command: error.command,
            stderr: error.stderr, exitStatus: error.exitStatus, cause: error.cause)
    }

    private func counted(_ arguments: [String]) async -> Result<Output, LVMError> {
        let name = arguments.first ?? ""
        Counter(label: "pmem_csi_lvm_runs_total", dimensions: [("command", name)]).increment()
        let start = ContinuousClock.now
        let result = await spawn(arguments)
        var metadata: Logger.Metadata = [
            "command": "\(arguments.joined(separator: " "))", "duration": "\(ContinuousClock.now - start)",
        ]
        switch result {
        case .success(let output): metadata["stderr"] = "\(output.stderr)"
        case .failure(let error): metadata["error"] = "\(error.message)"
        }
        logger.debug("lvm run", metadata: metadata)
        return result
    }

    private func spawn(_ arguments: [String]) async -> Result<Output, LVMError> {
        let command = arguments.joined(separator: " ")
        do {
            let child = try await Subprocess.run(
                executable, arguments: Arguments(complete(arguments)), environment: environment,
                platformOptions: platformOptions, output: .bytes(limit: settings.outputLimit),
                error: .bytes(limit: settings.errorLimit))
            let stderr = String(decoding: child.standardError, as: UTF8.self)
            switch child.terminationStatus {
            case .exited(0):
                return .success(Output(stdout: String(decoding: child.standardOutput, as: UTF8.self), stderr: stderr))
            case .exited(let status):
                return .failure(.ended(command: command, status: status, stderr: stderr))
            case .signaled(let signal):
                return .failure(LVMError(.failed, "killed by signal \(signal)", command: command, stderr: stderr))
            }
        } catch let error as SubprocessError where error.code == .executableNotFound {
            let message = "the program \(settings.executable) is not installed (Debian package lvm2)"
            return .failure(LVMError(.unavailable, message, command: command, cause: error))
        } catch {
            return .failure(LVMError(.failed, "could not be run to its end", command: command, cause: error))
        }
    }

    private func complete(_ arguments: [String]) -> [String] {
        let name = arguments.prefix(1)
        let common = ["--config", settings.configuration] + (settings.deviceMapper ? [] : ["--driverloaded", "n"])
        return name + common + arguments.dropFirst()
    }

    private var executable: Executable {
        settings.executable.contains("/") ? .path(FilePath(settings.executable)) : .name(settings.executable)
    }

    private var environment: Environment {
        var values: [Environment.Key: String] = [:]
        for (key, value) in settings.environment {
            values[Environment.Key(stringLiteral: key)] = value
        }
        return .custom(values)
    }

    /// SIGTERM first: lvm defers it while it writes metadata or has devices suspended, then undoes or finishes and
    /// lets its locks go. SIGKILL in such a moment leaves suspended devices, on which every reader hangs. A session of
    /// its own keeps a terminal's Ctrl-C, meant for us, from reaching it.
    private var platformOptions: PlatformOptions {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.send(signal: .terminate, allowedDurationToNextStep: settings.grace)]
        return options
    }
}
