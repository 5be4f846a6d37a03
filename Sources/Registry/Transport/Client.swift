package import GRPCCore
package import GRPCNIOTransportHTTP2Posix

extension Endpoint {
    /// The same endpoint as a client's target.
    var target: any ResolvableTarget {
        switch address {
        // The default authority would be the path, which servers written in Go refuse.
        case .unix(let path): .unixDomainSocket(path: path, authority: "localhost")
        case .tcp(let host, let port): .dns(host: host.isEmpty ? "127.0.0.1" : host, port: Int(port))
        }
    }
}

/// Opens a connection for the body's calls and closes it afterwards: a fresh one costs a millisecond or so, which is
/// less than a pool costs in care.
package func withClient<R: Sendable>(
    to endpoint: Endpoint,
    security: HTTP2ClientTransport.Posix.TransportSecurity = .plaintext,
    _ body: (GRPCClient<HTTP2ClientTransport.Posix>) async throws -> R
) async throws -> R {
    let transport = try HTTP2ClientTransport.Posix(target: endpoint.target, transportSecurity: security)
    return try await withGRPCClient(transport: transport, handleClient: body)
}
