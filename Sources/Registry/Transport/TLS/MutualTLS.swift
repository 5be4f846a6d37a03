package import GRPCNIOTransportHTTP2Posix
package import Logging
import NIOSSL

/// How this process secures its connections: what it shows, and whom it accepts on the other side.
///
/// A value for anyone who makes a server or a client; TLS 1.2 at least, and never without a certificate.
package struct MutualTLS: Sendable {
    private let credentials: Credentials
    private let peer: PeerName
    private let logger: Logger

    package init(credentials: Credentials, peer: PeerName, logger: Logger) {
        self.credentials = credentials
        self.peer = peer
        self.logger = logger
    }

    package var peerCheck: PeerCheck { PeerCheck(peer: peer, logger: logger) }

    /// For a server that accepts only `peer`.
    package func server() throws -> HTTP2ServerTransport.Posix.TransportSecurity {
        let verification = PeerVerification(credentials: credentials, peer: peer, role: .client, logger: logger)
        return try .mTLS(certificateReloader: credentials) { config in
            // Ours alone decide, in the callback.
            config.trustRoots = .certificates([])
            config.customVerificationCallback = { verification($0, $1) }
        }
    }

    /// For connections to `peer`; with what the files hold now.
    func client() throws -> HTTP2ClientTransport.Posix.TransportSecurity {
        let verification = PeerVerification(credentials: credentials, peer: peer, role: .server, logger: logger)
        return try .mTLS(certificateReloader: credentials) { config in
            config.trustRoots = .certificates([])
            config.customVerificationCallback = { verification($0, $1) }
        }
    }

    var authority: String { peer.rawValue }
}
