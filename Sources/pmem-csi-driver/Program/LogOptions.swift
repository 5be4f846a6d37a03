import ArgumentParser
package import Logging

/// How log records are written.
package enum LogFormat: String, Sendable, CaseIterable, ExpressibleByArgument {
    case text, json
}

/// The log flags that all programs have. `-v` is klog's verbosity: 0 to 2 are notices and above, 3 and 4 add what is
/// done, 5 to 7 debugging, 8 and above tracing.
package struct LogOptions: ParsableArguments {
    /// For the program's `FlagSyntax`.
    package static let flags = ["v", "logging-format"]

    @Option(
        name: .customLong("v"),
        help: "Log verbosity: 0 to 2 notices and problems, 3 and 4 what is done, 5 to 7 debugging, 8 to 10 tracing.")
    package var verbosity = 3

    @Option(name: .customLong("logging-format"), help: "Format of the log on standard error: text or json.")
    package var format = LogFormat.text

    package init() {}

    package func validate() throws {
        guard verbosity >= 0 else {
            throw ValidationError("flag -v: \(verbosity) is no verbosity; use 0 to 10")
        }
    }

    package var level: Logger.Level {
        switch verbosity {
        case ..<3: .notice
        case ..<5: .info
        case ..<8: .debug
        default: .trace
        }
    }
}

/// Makes every logger of the process write to standard error as the options say: once, before the first logger.
package func bootstrapLogging(_ options: LogOptions) {
    let (level, format) = (options.level, options.format)
    LoggingSystem.bootstrap { label in
        StreamLogger(label: label, level: level, format: format, descriptor: StreamLogger.standardError)
    }
    LogState.markReady()
}
