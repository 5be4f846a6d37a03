import FoundationEssentials

/// A piece of JSON whose shape is not known beforehand: parameters of a call, and configuration files, of which every
/// key is looked at.
package enum JSONNode: Sendable, Equatable {
    case object([String: JSONNode])
    case array([JSONNode])
    case string(String)
    case integer(Int)
    case number(Double)
    case bool(Bool)
    case null
}

extension JSONNode: Codable {
    package init(from decoder: any Decoder) throws {
        if let values = try? decoder.container(keyedBy: Name.self) {
            var object: [String: JSONNode] = [:]
            for key in values.allKeys { object[key.stringValue] = try values.decode(JSONNode.self, forKey: key) }
            self = .object(object)
            return
        }
        if var values = try? decoder.unkeyedContainer() {
            var array: [JSONNode] = []
            while !values.isAtEnd { array.append(try values.decode(JSONNode.self)) }
            self = .array(array)
            return
        }
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else {
            self = .string(try value.decode(String.self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let object):
            var values = encoder.container(keyedBy: Name.self)
            for (key, value) in object { try values.encode(value, forKey: Name(key)) }
        case .array(let array):
            var values = encoder.unkeyedContainer()
            for value in array { try values.encode(value) }
        case .string(let text): try encode(text, encoder)
        case .integer(let integer): try encode(integer, encoder)
        case .number(let number): try encode(number, encoder)
        case .bool(let bool): try encode(bool, encoder)
        case .null:
            var value = encoder.singleValueContainer()
            try value.encodeNil()
        }
    }

    private func encode(_ value: some Encodable, _ encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ text: String) { stringValue = text }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

extension JSONNode: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package typealias Key = String
    package typealias Value = JSONNode

    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: JSONNode...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONNode)...) {
        self = .object(Dictionary(elements) { $1 })
    }
}

extension JSONNode {
    /// The text as ASCII alone: SPDK's proxy fails on anything else.
    package func ascii() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes = try encoder.encode(self)
        guard bytes.contains(where: { $0 >= 0x80 }) else { return Array(bytes) }
        // Only strings have such characters, and there an escape stands for each unit of UTF-16.
        var result: [UInt8] = []
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            guard !scalar.isASCII else {
                result.append(UInt8(truncatingIfNeeded: scalar.value))
                continue
            }
            for unit in String(Character(scalar)).utf16 {
                let digits = String(unit, radix: 16)
                result += Array("\\u".utf8) + Array(repeating: UInt8(ascii: "0"), count: 4 - digits.utf8.count)
                result += Array(digits.utf8)
            }
        }
        return result
    }
}
