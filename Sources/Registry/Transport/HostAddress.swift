import Glibc

/// One address of a host, as getaddrinfo gives it; owned by whoever asked.
struct HostAddress {
    let family: CInt
    private let bytes: [UInt8]

    /// Every address of a name or literal, in the resolver's order. Blocks while names are looked up.
    static func resolve(_ host: String, port: UInt16, _ endpoint: Endpoint) throws(TransportError) -> [HostAddress] {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            let text = String(cString: gai_strerror(code))
            throw TransportError(.cannotResolve, "cannot listen on \(endpoint): \(host): \(text)")
        }
        defer { freeaddrinfo(list) }
        return sequence(first: list, next: { $0?.pointee.ai_next }).compactMap { entry in
            guard let entry, let address = entry.pointee.ai_addr else { return nil }
            let raw = UnsafeRawBufferPointer(start: address, count: Int(entry.pointee.ai_addrlen))
            return HostAddress(family: entry.pointee.ai_family, bytes: Array(raw))
        }
    }

    func withPointer<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: bytes.prefix($0.count)) }
        return withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(bytes.count)) }
        }
    }
}

extension HostAddress {
    /// The address in numbers, as a client can be given it; nil where it has no such form.
    var literal: String? {
        var text = [CChar](repeating: 0, count: 1025)
        let code = withPointer { getnameinfo($0, $1, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) }
        guard code == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
