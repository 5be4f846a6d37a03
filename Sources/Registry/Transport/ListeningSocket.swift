import Glibc

/// A bound socket that listens; `GRPCService` and the metrics server make one each and hand its descriptor to NIO.
/// We bind it ourselves so that a failure names its cause, a live socket is never replaced, and the mode is right from
/// the first moment. Whoever takes the descriptor closes it; `removeFile()` is for when nobody listens any more.
package struct ListeningSocket: Sendable {
    /// Owner and group: the sidecars may run under the driver's group, and nobody else may create volumes.
    static let socketMode: mode_t = 0o660
    private static let backlog: CInt = 256

    package let descriptor: CInt
    /// What it listens on: the real port where port 0 was asked for.
    package let endpoint: Endpoint
    private let file: SocketFile?

    /// Resolves a host name (blocking), replaces a stale socket file, binds and listens.
    package init(_ endpoint: Endpoint) throws(TransportError) {
        switch endpoint.address {
        case .unix(let path):
            let file = SocketFile(path: path)
            try file.makeRoom()
            descriptor = try Self.bindUnix(path, endpoint)
            self.endpoint = endpoint
            self.file = file.identified()
        case .tcp(let host, let port):
            let bound = try Self.bindTCP(host: host, port: port, endpoint)
            descriptor = bound
            self.endpoint = Endpoint(address: .tcp(host: host, port: Self.port(of: bound) ?? port))
            file = nil
        }
    }

    /// Removes the socket's file unless somebody else has put another in its place.
    package func removeFile() {
        file?.removeIfOurs()
    }

    private static func bindUnix(_ path: String, _ endpoint: Endpoint) throws(TransportError) -> CInt {
        let descriptor = try open(family: AF_UNIX, endpoint)
        // The kernel gives the file the mode of the unbound socket, so there is no moment with a wider one.
        _ = fchmod(descriptor, socketMode)
        var address = SocketFile.address(of: path)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try check(result, descriptor, endpoint)
        // The umask has taken bits away; nobody can connect yet, because nobody listens.
        _ = chmod(path, socketMode)
        try check(listen(descriptor, backlog), descriptor, endpoint)
        return descriptor
    }

    private static func bindTCP(host: String, port: UInt16, _ endpoint: Endpoint) throws(TransportError) -> CInt {
        var failure = TransportError(.cannotResolve, "cannot listen on \(endpoint): \(host) has no address")
        for address in try HostAddress.resolve(host.isEmpty ? anywhere : host, port: port, endpoint) {
            do throws(TransportError) {
                let descriptor = try open(family: address.family, endpoint)
                set(SOL_SOCKET, SO_REUSEADDR, 1, of: descriptor)
                // Whatever the machine's default is, `::` takes IPv4, too (ipv6(7)).
                if address.family == AF_INET6 { set(CInt(IPPROTO_IPV6), CInt(IPV6_V6ONLY), 0, of: descriptor) }
                try check(address.withPointer { bind(descriptor, $0, $1) }, descriptor, endpoint)
                try check(listen(descriptor, backlog), descriptor, endpoint)
                return descriptor
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// Every address: that of IPv6, which stands for IPv4's as well, unless the kernel was started without IPv6.
    private static var anywhere: String {
        let probe = socket(AF_INET6, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { return "0.0.0.0" }
        close(probe)
        return "::"
    }

    private static func set(_ level: CInt, _ option: CInt, _ value: CInt, of descriptor: CInt) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    private static func open(family: CInt, _ endpoint: Endpoint) throws(TransportError) -> CInt {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else {
            throw TransportError(.cannotListen, "cannot make a socket for \(endpoint): \(errnoText())")
        }
        return descriptor
    }

    private static func check(_ result: CInt, _ descriptor: CInt, _ endpoint: Endpoint) throws(TransportError) {
        guard result != 0 else { return }
        let code = errno
        close(descriptor)
        throw TransportError(
            code == EADDRINUSE ? .inUse : .cannotListen, "cannot listen on \(endpoint): \(errnoText(code))")
    }

    private static func port(of descriptor: CInt) -> UInt16? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { bytes in
            guard let base = bytes.baseAddress,
                getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &length) == 0
            else { return nil }
            // sockaddr_in and sockaddr_in6 both have the port, in network order, after the family.
            return UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
        }
    }
}
