import FoundationEssentials

/// Takes the keys out of a JSON object, whatever their case, as Go's decoder does; what is left at the end is unknown.
///
/// Its errors name the key and never a value that may be a secret.
struct ConfigurationReader {
    private var values: [String: JSONNode] = [:]
    private var spellings: [String: String] = [:]
    private var known: [String] = []
    private let place: String

    init(_ node: JSONNode, at place: String) throws(ConfigurationError) {
        self.place = place
        guard case .object(let object) = node else {
            throw ConfigurationError("\(place.isEmpty ? "the file" : place): it is no JSON object")
        }
        for (key, value) in object {
            guard values.updateValue(value, forKey: key.lowercased()) == nil else {
                throw ConfigurationError("\(at(key)): it is there twice, in upper and lower case")
            }
            spellings[key.lowercased()] = key
        }
    }

    func at(_ key: String) -> String { place.isEmpty ? key : "\(place).\(key)" }

    private mutating func take(_ key: String) -> JSONNode? {
        known.append(key)
        let value = values.removeValue(forKey: key.lowercased())
        return value == .null ? nil : value
    }

    mutating func optionalText(_ key: String) throws(ConfigurationError) -> String? {
        switch take(key) {
        case .string(let text): return text
        case nil: return nil
        default: throw ConfigurationError("\(at(key)): it must be a text")
        }
    }

    mutating func text(_ key: String) throws(ConfigurationError) -> String {
        guard let text = try optionalText(key), !text.isEmpty else {
            throw ConfigurationError("\(at(key)): it is missing")
        }
        return text
    }

    /// Part of volume ids, which have at most 128 bytes and one colon.
    mutating func name(_ key: String) throws(ConfigurationError) -> String {
        let name = try text(key)
        guard name.wholeMatch(of: /[A-Za-z0-9_.\-]{1,91}/) != nil, !name.hasPrefix(".") else {
            throw ConfigurationError(
                "\(at(key)): \"\(name.prefix(100))\" must be 1 to 91 letters, digits, dashes, dots and underscores, "
                    + "since volume ids begin with it")
        }
        return name
    }

    mutating func port(_ key: String) throws(ConfigurationError) -> UInt16? {
        let number: Int?
        switch take(key) {
        case nil: return nil
        case .integer(let value): number = value
        case .string(let text): number = Int(text)
        default: number = nil
        }
        guard let port = number.flatMap({ UInt16(exactly: $0) }), port > 0 else {
            throw ConfigurationError("\(at(key)): it must be a number from 1 to 65535")
        }
        return port
    }

    mutating func number(
        _ key: String, in range: ClosedRange<Double>
    ) throws(ConfigurationError) -> Double? {
        let number: Double
        switch take(key) {
        case nil: return nil
        case .integer(let value): number = Double(value)
        case .number(let value): number = value
        default: throw ConfigurationError("\(at(key)): it must be a number")
        }
        guard range.contains(number) else {
            throw ConfigurationError("\(at(key)): \(number) is not between \(range.lowerBound) and \(range.upperBound)")
        }
        return number
    }

    /// A list, or one text with commas.
    mutating func texts(_ key: String) throws(ConfigurationError) -> [String] {
        switch take(key) {
        case nil: return []
        case .string(let text):
            return text.split(separator: ",").map { part in
                String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            }.filter { !$0.isEmpty }
        case .array(let values):
            var texts: [String] = []
            for case let value in values {
                guard case .string(let text) = value, !text.isEmpty else {
                    throw ConfigurationError("\(at(key)): it must be a list of texts")
                }
                texts.append(text)
            }
            return texts
        default: throw ConfigurationError("\(at(key)): it must be a text or a list of texts")
        }
    }

    mutating func addresses(_ key: String, port: UInt16) throws(ConfigurationError) -> [PortalAddress] {
        var addresses: [PortalAddress] = []
        for text in try texts(key) {
            do throws(ConfigurationError) {
                let address = try PortalAddress(text[...], port: port)
                if !addresses.contains(address) { addresses.append(address) }
            } catch {
                throw error.at(at(key))
            }
        }
        return addresses
    }

    mutating func list(_ key: String) throws(ConfigurationError) -> [JSONNode] {
        switch take(key) {
        case .array(let values): return values
        case nil: throw ConfigurationError("\(at(key)): it is missing")
        default: throw ConfigurationError("\(at(key)): it must be a list")
        }
    }

    func finish() throws(ConfigurationError) {
        guard let key = values.keys.sorted().first else { return }
        throw ConfigurationError(
            "\(at(spellings[key] ?? key)): unknown key; known are \(known.joined(separator: ", "))")
    }
}
