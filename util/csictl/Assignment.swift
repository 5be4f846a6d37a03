/// One `path=value` (text) or `path:=json` (raw JSON) of the command line, ready to be put into a request.
struct Assignment {
    /// Fields of type map<string, string>: what follows their name is one key, dots and all, and every value is text.
    private static let textMaps: Set<String> = [
        "parameters", "mutable_parameters", "volume_context", "publish_context", "secrets", "segments",
    ]
    private static let powers: [(suffix: String, shift: UInt64)] = [
        ("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50),
    ]

    let path: [String]
    let value: JSONValue

    init(_ text: String) throws {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            throw UsageError("\"\(text)\" is not key=value")
        }
        var key = text[..<equals]
        let right = String(text[text.index(after: equals)...])
        if key.hasSuffix(":") {
            key = key.dropLast()
            path = Self.path(key)
            value = .raw(right)
        } else {
            path = Self.path(key)
            value = try Self.value(right, path: path)
        }
    }

    init(path: String, text: String) throws {
        self.path = Self.path(path[...])
        value = try Self.value(text, path: self.path)
    }

    private static func path(_ key: Substring) -> [String] {
        let parts = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard let map = parts.firstIndex(where: { textMaps.contains($0) }), map + 1 < parts.count else { return parts }
        return parts[...map] + [parts[(map + 1)...].joined(separator: ".")]
    }

    private static func value(_ text: String, path: [String]) throws -> JSONValue {
        if path.dropLast().contains(where: { textMaps.contains($0) }) { return .string(text) }
        if path.last?.lowercased().hasSuffix("bytes") == true { return .string(String(try bytes(text))) }
        // Proto JSON takes quoted numbers and enums but no quoted Booleans.
        return text == "true" || text == "false" ? .raw(text) : .string(text)
    }

    /// A number of bytes, also as 512Mi or 1Gi.
    private static func bytes(_ text: String) throws -> Int64 {
        let power = powers.first { text.hasSuffix($0.suffix) }
        let digits = text.dropLast(power == nil ? 0 : 2)
        let (value, overflow) = (Int64(digits) ?? 0).multipliedReportingOverflow(by: 1 << Int64(power?.shift ?? 0))
        guard Int64(digits) != nil, !overflow else {
            throw UsageError("\"\(text)\" is not a size: a number of bytes, or a number with Ki, Mi, Gi, Ti or Pi")
        }
        return value
    }
}
