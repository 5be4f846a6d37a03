import Glibc
package import Logging
import Synchronization

/// Whether a failure of the program can be reported as a log record.
enum LogState {
    private static let ready = Mutex(false)

    static var isReady: Bool { ready.withLock(\.self) }

    static func markReady() {
        ready.withLock { $0 = true }
    }
}

/// Writes each log record as one line with one write(2), so records of several threads and processes never mix.
/// What a record's values contain cannot break its line: text is quoted, control characters are escaped.
package struct StreamLogger: LogHandler {
    package static let standardError: Int32 = STDERR_FILENO

    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let label: String
    private let format: LogFormat
    private let descriptor: Int32

    package init(label: String, level: Logger.Level, format: LogFormat, descriptor: Int32) {
        self.label = label
        self.logLevel = level
        self.format = format
        self.descriptor = descriptor
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let provided = metadataProvider?.get() ?? [:]
        var all = metadata.merging(provided) { $1 }.merging(event.metadata ?? [:]) { $1 }
        if let error = event.error {
            all["error"] = "\(error)"
        }
        let record = LogRecord(
            time: LogRecord.now(), level: event.level, logger: label, message: event.message.description, metadata: all)
        Output.write(format == .json ? record.json : record.text, to: descriptor)
    }
}
