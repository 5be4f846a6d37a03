import Glibc

/// Where a server listens or a client connects: `unix:///path`, `tcp://host:port`, or an absolute path.
/// A value that anyone may hold; it is valid by construction. An empty host means every address, of IPv6 and IPv4.
package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    package enum Address: Sendable, Hashable {
        case unix(path: String)
        case tcp(host: String, port: UInt16)
    }

    /// sockaddr_un has room for 108 bytes, the last of which is the terminator.
    static let maximumPathBytes = 107

    package let address: Address

    init(address: Address) {
        self.address = address
    }

    package init(_ text: String) throws(TransportError) {
        if text.hasPrefix("/") {
            try self.init(unix: text)
            return
        }
        guard let separator = text.firstRange(of: "://") else {
            throw Self.invalid(text, "it has no scheme")
        }
        let rest = String(text[separator.upperBound...])
        switch text[..<separator.lowerBound].lowercased() {
        case "unix": try self.init(unix: rest)
        case "tcp": try self.init(tcp: rest, text: text)
        default: throw Self.invalid(text, "its scheme is unknown")
        }
    }

    package init(unix path: String) throws(TransportError) {
        let text = "unix://\(path)"
        guard path.hasPrefix("/") else { throw Self.invalid(text, "the path must be absolute") }
        guard !path.hasSuffix("/") else { throw Self.invalid(text, "the path names a directory") }
        guard !path.utf8.contains(0) else { throw Self.invalid(text, "the path contains a NUL byte") }
        let bytes = path.utf8.count
        guard bytes <= Self.maximumPathBytes else {
            let limit = Self.maximumPathBytes
            throw Self.invalid(text, "the path has \(bytes) bytes, and the kernel takes at most \(limit)")
        }
        address = .unix(path: path)
    }

    private init(tcp rest: String, text: String) throws(TransportError) {
        guard let colon = rest.lastIndex(of: ":") else { throw Self.invalid(text, "the port is missing") }
        let digits = rest[rest.index(after: colon)...]
        // UInt16 alone would accept a sign.
        guard digits.allSatisfy({ ("0"..."9").contains($0) }), let port = UInt16(digits) else {
            throw Self.invalid(text, "the port must be a number from 0 to 65535")
        }
        var host = String(rest[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard host.contains(":") else { throw Self.invalid(text, "brackets are for IPv6 addresses") }
        } else if !Self.isIPv6(host), host.contains(where: { ":[]".contains($0) }) {
            throw Self.invalid(text, "an IPv6 address must be in brackets, as in tcp://[::1]:10000")
        }
        guard !host.contains(where: { $0 == "/" || $0.isWhitespace }) else {
            throw Self.invalid(text, "the host name contains \"/\" or a space")
        }
        address = .tcp(host: host, port: port)
    }

    /// Kubernetes gives pods their addresses without brackets, for manifests with `tcp://$(POD_IP):10001`.
    private static func isIPv6(_ host: String) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { address in
            inet_pton(AF_INET6, host, address.baseAddress) == 1
        }
    }

    package var description: String {
        switch address {
        case .unix(let path): "unix://\(path)"
        case .tcp(let host, let port): host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)"
        }
    }

    private static func invalid(_ text: String, _ reason: String) -> TransportError {
        TransportError(
            .invalidEndpoint,
            "invalid endpoint \"\(text)\": \(reason) (expected unix:///path or tcp://host:port)")
    }
}
