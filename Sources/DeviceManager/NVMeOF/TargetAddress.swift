import Glibc

/// Where a storage target listens: a host as it was written (an address or a name) and a port.
package struct TargetAddress: Sendable, Hashable, Codable, CustomStringConvertible {
    package let host: String
    package let port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// A list with commas: `10.0.0.1`, `10.0.0.1:4421`, `::1`, `[::1]:4421`, `storage-1.example.com`.
    ///
    /// Throws `invalidArgument` that names `field`.
    static func list(_ text: String, port: UInt16, _ field: String) throws(DeviceError) -> [TargetAddress] {
        var addresses: [TargetAddress] = []
        for part in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
            guard let address = TargetAddress(part, port: port) else {
                throw DeviceError(
                    .invalidArgument, "\(field): \"\(part)\" is no address; give 10.0.0.1, [::1]:4420 or a name")
            }
            if !addresses.contains(address) { addresses.append(address) }
        }
        return addresses
    }

    private init?(_ text: Substring, port: UInt16) {
        var (host, port) = (text, port)
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            if !rest.isEmpty {
                guard rest.first == ":", let number = Self.port(rest.dropFirst()) else { return nil }
                port = number
            }
        } else if let colon = text.firstIndex(of: ":"), text.lastIndex(of: ":") == colon {
            guard let number = Self.port(text[text.index(after: colon)...]) else { return nil }
            (host, port) = (text[..<colon], number)
        }
        // What may stand in an option of the kernel's, and never begin an option of a program.
        guard !host.isEmpty, host.first != "-", host.utf8.count <= 255, host.utf8.allSatisfy(Self.isAllowed) else {
            return nil
        }
        self.init(host: String(host), port: port)
    }

    static func port(_ text: some StringProtocol) -> UInt16? { UInt16(text).flatMap { $0 > 0 ? $0 : nil } }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default:
            [UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "%")].contains(
                byte)
        }
    }

    /// As programs take it.
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension TargetAddress {
    /// The same with the host as a number, spelled as the kernel spells it; names are looked up, which blocks.
    ///
    /// Throws `unavailable` when the name has no address now.
    func resolved() throws(DeviceError) -> TargetAddress {
        if let literal = Self.canonical(host) { return TargetAddress(host: literal, port: port) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard status == 0, let first = list, let literal = Self.literal(first.pointee) else {
            let reason = String(cString: gai_strerror(status))
            throw DeviceError(.unavailable, "the name \(host) cannot be looked up: \(reason)")
        }
        return TargetAddress(host: literal, port: port)
    }

    /// Nil when it is no number. A scope stays behind it, as in fe80::1%eth0.
    static func canonical(_ host: String) -> String? {
        let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        var four = in_addr()
        if parts.count == 1, inet_pton(AF_INET, host, &four) == 1 {
            inet_ntop(AF_INET, &four, &text, socklen_t(text.count))
            return string(text)
        }
        var six = in6_addr()
        guard let address = parts.first, inet_pton(AF_INET6, String(address), &six) == 1 else { return nil }
        inet_ntop(AF_INET6, &six, &text, socklen_t(text.count))
        return ([string(text)] + parts.dropFirst().map(String.init)).joined(separator: "%")
    }

    private static func literal(_ info: addrinfo) -> String? {
        var text = [CChar](repeating: 0, count: 256)
        guard getnameinfo(info.ai_addr, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
        else { return nil }
        return string(text)
    }

    private static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
