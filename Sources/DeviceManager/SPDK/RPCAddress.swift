/// Where a storage node's JSON-RPC is served: behind an HTTP proxy, or on a unix socket of this machine.
package enum RPCAddress: Sendable, Hashable, CustomStringConvertible {
    case http(String)
    case unix(String)

    /// Throws a sentence that says what is wrong.
    package init(_ text: String) throws(ConfigurationError) {
        let lowered = text.lowercased()
        if lowered.hasPrefix("unix:") {
            let path = text.dropFirst("unix:".count)
            let rest = path.hasPrefix("//") ? path.dropFirst(2) : path
            guard rest.hasPrefix("/"), rest.utf8.count > 1, rest.utf8.count < 108, !rest.utf8.contains(0) else {
                throw ConfigurationError("\"\(text)\" is no unix:///absolute/path of at most 107 bytes")
            }
            self = .unix(String(rest))
            return
        }
        guard
            text.wholeMatch(of: /(?i:https?):\/\/(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._\-]+)(:[0-9]{1,5})?(\/[!-~]*)?/)
                != nil
        else {
            throw ConfigurationError("\"\(text)\" is no http://host:port, https://host:port or unix:///path")
        }
        self = .http(text)
    }

    package var description: String {
        switch self {
        case .http(let url): url
        case .unix(let path): "unix://\(path)"
        }
    }
}

/// What is wrong with a configuration file or one of its values: names file and key.
package struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    func at(_ place: String) -> ConfigurationError { ConfigurationError("\(place): \(description)") }
}

/// User and password of a storage node's proxy.
package struct RPCCredentials: Sendable, Hashable {
    package let username: String
    package let password: String

    package init(username: String, password: String) {
        self.username = username
        self.password = password
    }
}
