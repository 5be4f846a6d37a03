import FoundationEssentials

/// JSON as csictl builds requests from `key=value` and picks fields of responses; objects keep their keys' order.
/// Numbers and text that the user gave as JSON stay as they were written.
indirect enum JSONValue: Equatable {
    case object([Member])
    case array([JSONValue])
    case string(String)
    case raw(String)

    struct Member: Equatable {
        let key: String
        var value: JSONValue
    }

    var text: String {
        switch self {
        case .object(let members):
            "{" + members.map { "\(Self.quote($0.key)):\($0.value.text)" }.joined(separator: ",") + "}"
        case .array(let values): "[" + values.map(\.text).joined(separator: ",") + "]"
        case .string(let text): Self.quote(text)
        case .raw(let text): text
        }
    }

    /// Puts a value at a path of keys; numbers in the path are places in arrays.
    mutating func set(_ path: ArraySlice<String>, _ value: JSONValue) throws {
        guard let key = path.first else {
            self = value
            return
        }
        let rest = path.dropFirst()
        if let index = Int(key) {
            try setElement(index, rest, value)
            return
        }
        guard case .object(var members) = self else { throw UsageError("\"\(key)\" is set inside of another value") }
        if let place = members.firstIndex(where: { $0.key == key }) {
            try members[place].value.set(rest, value)
        } else {
            var made = Self.empty(for: rest)
            try made.set(rest, value)
            members.append(Member(key: key, value: made))
        }
        self = .object(members)
    }

    private mutating func setElement(_ index: Int, _ rest: ArraySlice<String>, _ value: JSONValue) throws {
        guard case .array(var values) = self, (0...values.count).contains(index) else {
            throw UsageError("place \(index) does not follow the list's last element")
        }
        if index == values.count { values.append(Self.empty(for: rest)) }
        try values[index].set(rest, value)
        self = .array(values)
    }

    private static func empty(for rest: ArraySlice<String>) -> JSONValue {
        rest.first.flatMap { Int($0) } == nil ? .object([]) : .array([])
    }

    private static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

extension JSONValue: Decodable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(parsing text: String) throws {
        self = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
    }

    init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: Key.self) {
            let keys = container.allKeys.sorted { $0.stringValue < $1.stringValue }
            self = .object(
                try keys.map { Member(key: $0.stringValue, value: try container.decode(JSONValue.self, forKey: $0)) })
            return
        }
        if var container = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !container.isAtEnd { values.append(try container.decode(JSONValue.self)) }
            self = .array(values)
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .raw("null")
        } else if let value = try? container.decode(Bool.self) {
            self = .raw("\(value)")
        } else if let value = try? container.decode(Int64.self) {
            self = .raw("\(value)")
        } else if let value = try? container.decode(Double.self) {
            self = .raw("\(value)")
        } else {
            self = .string(try container.decode(String.self))
        }
    }

    /// The value at a path; nil where there is none (a default value, as proto JSON leaves those out).
    func value(at path: ArraySlice<String>) -> JSONValue? {
        guard let key = path.first else { return self }
        switch self {
        case .object(let members):
            return members.first { $0.key == key }?.value.value(at: path.dropFirst())
        case .array(let values):
            guard let index = Int(key), values.indices.contains(index) else { return nil }
            return values[index].value(at: path.dropFirst())
        case .string, .raw:
            return nil
        }
    }
}
