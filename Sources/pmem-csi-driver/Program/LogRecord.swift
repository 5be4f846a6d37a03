import FoundationEssentials
package import Logging

/// One log record and its two spellings, each one line. Metadata is sorted by key, so that equal records look equal.
package struct LogRecord: Sendable {
    let time: String
    let level: Logger.Level
    let logger: String
    let message: String
    let metadata: Logger.Metadata

    package init(time: String, level: Logger.Level, logger: String, message: String, metadata: Logger.Metadata) {
        self.time = time
        self.level = level
        self.logger = logger
        self.message = message
        self.metadata = metadata
    }

    /// `2026-11-21T09:00:00.123Z`
    static func now() -> String {
        Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true, timeZone: .gmt))
    }

    /// `2026-11-21T09:00:00.123Z INFO message key=value`
    package var text: String {
        var line = "\(time) \(level.rawValue.uppercased()) \(Self.escaped(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += " \(Self.word(key))=\(Self.word(value.description))"
        }
        return line
    }

    /// `{"ts":"…","level":"info","logger":"…","msg":"…","key":"value"}`; a key that is one of these four gets a
    /// leading underscore.
    package var json: String {
        var line = "{\"ts\":\(Self.quoted(time)),\"level\":\(Self.quoted(level.rawValue))"
        line += ",\"logger\":\(Self.quoted(logger)),\"msg\":\(Self.quoted(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let name = ["ts", "level", "logger", "msg"].contains(key) ? "_\(key)" : key
            line += ",\(Self.quoted(name)):\(Self.encoded(value))"
        }
        return line + "}"
    }

    private static func encoded(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): quoted(text)
        case .stringConvertible(let value as any BinaryInteger): "\(value)"
        case .stringConvertible(let value as Bool): "\(value)"
        case .stringConvertible(let value): quoted(value.description)
        case .array(let values): "[\(values.map(encoded).joined(separator: ","))]"
        case .dictionary(let values):
            "{"
                + values.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(encoded($0.value))" }
                .joined(separator: ",") + "}"
        }
    }

    private static func word(_ text: String) -> String {
        let isPlain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "\\" && !isBreak($0) }
        return isPlain && !text.isEmpty ? text : quoted(text)
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" {
                result += "\\"
            }
            append(scalar, to: &result)
        }
        return result + "\""
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        text.unicodeScalars.forEach { append($0, to: &result) }
        return result
    }

    private static func append(_ scalar: Unicode.Scalar, to result: inout String) {
        switch scalar {
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case _ where isBreak(scalar):
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }

    /// Control characters, and what some readers take for the end of a line; all have at most four digits.
    private static func isBreak(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case ..<0x20, 0x7f...0x9f, 0x2028, 0x2029: true
        default: false
        }
    }
}
