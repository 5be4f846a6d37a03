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

/// Opens a connection for the body's calls and closes it afterwards: a fresh one costs a few milliseconds with mutual
/// TLS, one without it, which is less than a pool costs in care.
package func withClient<R: Sendable>(
    to endpoint: Endpoint, security: MutualTLS? = nil, interceptors: [any ClientInterceptor] = [],
    configure: (inout HTTP2ClientTransport.Posix.Config) -> Void = { _ in },
    _ body: (GRPCClient<HTTP2ClientTransport.Posix>) async throws -> R
) async throws -> R {
    let transport = try HTTP2ClientTransport.Posix(
        target: endpoint.target, transportSecurity: try security?.client() ?? .plaintext,
        config: .defaults { configuration in
            // The name that the server is asked for; `MutualTLS` verifies it.
            if let security { configuration.http2.authority = security.authority }
            configure(&configuration)
        })
    return try await withGRPCClient(transport: transport, interceptors: interceptors, handleClient: body)
}
