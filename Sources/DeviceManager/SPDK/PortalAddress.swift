import Glibc

/// Where a target listens, or hosts connect.
package struct PortalAddress: Sendable, Hashable {
    package let host: String
    package let port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    package var isIPv6: Bool { host.contains(":") }

    /// SPDK looks no names up.
    package var isNumeric: Bool {
        var bytes = in6_addr()
        return inet_pton(isIPv6 ? AF_INET6 : AF_INET, String(host.prefix { $0 != "%" }), &bytes) == 1
    }

    /// `10.0.0.1`, `10.0.0.1:4421`, `::1`, `[::1]:4421` or a name.
    init(_ text: Substring, port: UInt16) throws(ConfigurationError) {
        var (host, rest) = (text, text[text.endIndex...])
        if text.first == "[", let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
        } else if let colon = text.firstIndex(of: ":"), text.lastIndex(of: ":") == colon {
            (host, rest) = (text[..<colon], text[colon...])
        }
        let number = rest.isEmpty ? port : UInt16(rest.dropFirst())
        guard rest.isEmpty || rest.first == ":", let number, number > 0,
            host.wholeMatch(of: /[A-Za-z0-9_.:%\-]{1,255}/) != nil, host.first != "-"
        else { throw ConfigurationError("\"\(text)\" is no address such as 10.0.0.1, [::1]:4420 or a name") }
        self.init(host: String(host), port: number)
    }
}

extension [PortalAddress] {
    /// As the volume context says it: one text with commas. The port stands there only where it is not `port`.
    package func text(port: UInt16) -> String {
        map { address in
            guard address.port != port else { return address.host }
            return address.isIPv6 ? "[\(address.host)]:\(address.port)" : "\(address.host):\(address.port)"
        }.joined(separator: ",")
    }
}
