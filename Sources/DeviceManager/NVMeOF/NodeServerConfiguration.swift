import FoundationEssentials

/// The node's own configuration file, `nodeserver-config.json`; one that is missing says nothing.
package struct NodeServerConfiguration: Sendable, Equatable {
    package private(set) var clusterName: String?
    package private(set) var timeouts = PathTimeouts()
    /// What this node must be able to use; nil: at least one of them.
    package private(set) var transports: Set<RemoteVolume.Transport>?

    private static let keys = ["xpuList", "clusterName", "reconnectDelay", "ctrlLossTimeout", "transports"]

    private init() {}

    /// Throws `invalidArgument` that names the file and the key.
    package init(path: String) throws(DeviceError) {
        self.init()
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(filePath: path))
        } catch {
            guard FileManager.default.fileExists(atPath: path) else { return }
            throw DeviceError(.invalidArgument, "\(path) cannot be read", cause: error)
        }
        self = try NodeServerConfiguration(parsing: bytes, path)
    }

    init(parsing bytes: Data, _ path: String) throws(DeviceError) {
        let values: [String: Value]
        do {
            values = try JSONDecoder().decode([String: Value].self, from: bytes)
        } catch {
            throw DeviceError(.invalidArgument, "\(path) is not a JSON object", cause: error)
        }
        for key in values.keys.sorted() {
            // As Go's decoder reads the file, upper case or lower.
            guard let known = Self.keys.first(where: { $0.lowercased() == key.lowercased() }), let value = values[key]
            else {
                throw DeviceError(
                    .invalidArgument, "\(path): unknown key \"\(key)\"; known are \(Self.keys.joined(separator: ", "))")
            }
            do throws(DeviceError) {
                try set(known, value)
            } catch {
                throw DeviceError(.invalidArgument, "\(path): \(error.message)")
            }
        }
    }

    private mutating func set(_ key: String, _ value: Value) throws(DeviceError) {
        switch (key, value) {
        case (_, .null): return
        case ("xpuList", .list(let list)):
            guard !list.isEmpty else { return }
            throw DeviceError(
                .invalidArgument,
                "xpuList is not empty: xPUs are not supported; without them the kernel's initiator is used")
        case ("clusterName", .text(let name)): clusterName = name
        case ("reconnectDelay", .number(let number)), ("ctrlLossTimeout", .number(let number)):
            guard let seconds = Int(exactly: number) else { throw Self.wrong(key) }
            try timeouts.apply([key: "\(seconds)"])
        case ("transports", .list(let list)):
            var found: Set<RemoteVolume.Transport> = []
            for case let item in list {
                guard case .text(let name) = item, let transport = RemoteVolume.Transport(rawValue: name) else {
                    throw Self.wrong(key)
                }
                found.insert(transport)
            }
            transports = found
        default: throw Self.wrong(key)
        }
    }

    private static func wrong(_ key: String) -> DeviceError {
        let kind =
            switch key {
            case "xpuList": "an empty list"
            case "clusterName": "a text"
            case "transports": "a list of tcp, rdma and iscsi"
            default: "a whole number of seconds"
            }
        return DeviceError(.invalidArgument, "\(key) must be \(kind)")
    }

    /// Any JSON.
    private indirect enum Value: Decodable {
        case null, flag, text(String), number(Double), list([Value]), object([String: Value])

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if value.decodeNil() {
                self = .null
            } else if let text = try? value.decode(String.self) {
                self = .text(text)
            } else if (try? value.decode(Bool.self)) != nil {
                self = .flag
            } else if let number = try? value.decode(Double.self) {
                self = .number(number)
            } else if let list = try? value.decode([Value].self) {
                self = .list(list)
            } else {
                self = .object(try value.decode([String: Value].self))
            }
        }
    }
}
