package import GRPCCore
import GRPCNIOTransportHTTP2Posix
package import Logging
import SwiftASN1
package import X509

/// Who may be on the other side of a connection; certificates carry it as DNS name or as common name.
package enum PeerName: String, Sendable {
    /// A controller: the registry's server, and the caller of the nodes' controller services.
    case registry = "pmem-registry"
    /// A node: the registry's caller, and the server of its controller service.
    case nodeController = "pmem-node-controller"

    /// DNS names first, then the common name: certificates that Kubernetes made for pmem-csi have only that.
    package func isIn(_ certificate: Certificate) -> Bool {
        Self.names(certificate).contains(rawValue)
    }

    package static func names(_ certificate: Certificate) -> [String] {
        let alternatives = (try? certificate.extensions.subjectAlternativeNames) ?? SubjectAlternativeNames()
        let dns = alternatives.compactMap { name -> String? in
            guard case .dnsName(let text) = name else { return nil }
            return text
        }
        let common = certificate.subject.flatMap { Array($0) }.compactMap { attribute -> String? in
            attribute.type == .RDNAttributeType.commonName ? attribute.value.utf8Text : nil
        }
        return dns + common
    }
}

extension RelativeDistinguishedName.Attribute.Value {
    /// Printable and UTF-8 strings are what certificates have here.
    fileprivate var utf8Text: String? {
        String(self)
    }
}

/// Interceptor of servers with mutual TLS: answers nobody but `peer`, whatever the handshake let through.
///
/// It also refuses sessions that were resumed: nobody has verified a certificate in those.
package struct PeerCheck: ServerInterceptor {
    private let peer: PeerName
    private let logger: Logger

    package init(peer: PeerName, logger: Logger) {
        self.peer = peer
        self.logger = logger
    }

    package func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>,
        context: ServerContext,
        next:
            @Sendable (
                _ request: StreamingServerRequest<Input>,
                _ context: ServerContext
            ) async throws -> StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let transport = context.transportSpecific as? HTTP2ServerTransport.Posix.Context
        guard let chain = transport?.peerCertificateChain else {
            logger.warning(
                "refused a caller without a verified certificate", metadata: ["peer": "\(context.remotePeer)"])
            throw RegistryError(.unauthenticated, "a certificate of \(peer.rawValue) is needed")
        }
        guard peer.isIn(chain.leaf) else {
            logger.warning(
                "refused a caller",
                metadata: [
                    "peer": "\(context.remotePeer)", "subject": "\(chain.leaf.subject)", "expected": "\(peer.rawValue)",
                ])
            throw RegistryError(.permissionDenied, "only \(peer.rawValue) may call this")
        }
        return try await next(request, context)
    }
}
