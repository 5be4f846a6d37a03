import Logging
import NIOCore
import NIOSSL
import SwiftASN1
import X509

/// Decides in the handshake whether the other side is who it must be: chain, validity, use and name, by the authorities
/// in the CA file as it is now. It takes the place of BoringSSL's own check, which would know only the CA file of the
/// start.
struct PeerVerification: Sendable {
    let credentials: Credentials
    let peer: PeerName
    /// What the other side is in TLS.
    let role: Role
    let logger: Logger

    enum Role: String, Sendable {
        case client, server
    }

    @Sendable func callAsFunction(
        _ certificates: [NIOSSLCertificate], _ promise: EventLoopPromise<NIOSSLVerificationResultWithMetadata>
    ) {
        promise.completeWithTask { await verify(certificates) }
    }

    private func verify(_ certificates: [NIOSSLCertificate]) async -> NIOSSLVerificationResultWithMetadata {
        do {
            let chain = try certificates.map { try Certificate(derEncoded: $0.toDERBytes()) }
            guard let leaf = chain.first else { return refused("it sent no certificate", nil) }
            var verifier = Verifier(rootCertificates: credentials.identity.roots) {
                RFC5280Policy()
                UsePolicy(role: role)
            }
            switch await verifier.validate(leaf: leaf, intermediates: CertificateStore(chain.dropFirst())) {
            case .couldNotValidate(let failures):
                let reasons = failures.map { "\($0.policyFailureReason)" }
                return refused(
                    reasons.isEmpty ? "no authority of ours signed it" : reasons.joined(separator: "; "), leaf)
            case .validCertificate(let valid):
                guard peer.isIn(leaf) else {
                    let names = PeerName.names(leaf).joined(separator: ", ")
                    return refused("its names are \(names), not \(peer.rawValue)", leaf)
                }
                let raw = try valid.map { certificate in
                    var serializer = DER.Serializer()
                    try serializer.serialize(certificate)
                    return try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der)
                }
                return .certificateVerified(VerificationMetadata(NIOSSL.ValidatedCertificateChain(raw)))
            }
        } catch {
            return refused("\(error)", nil)
        }
    }

    private func refused(_ reason: String, _ leaf: Certificate?) -> NIOSSLVerificationResultWithMetadata {
        logger.warning(
            "refused a certificate",
            metadata: [
                "of": "\(role.rawValue)", "reason": "\(reason)", "subject": "\(leaf.map { "\($0.subject)" } ?? "")",
                "valid": "\(leaf.map { "\($0.notValidBefore) to \($0.notValidAfter)" } ?? "")",
            ])
        return .failed
    }
}

/// A certificate that says what it is for must say this.
private struct UsePolicy: VerifierPolicy {
    let role: PeerVerification.Role

    var verifyingCriticalExtensions: [ASN1ObjectIdentifier] { [.X509ExtensionID.extendedKeyUsage] }

    mutating func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) -> PolicyEvaluationResult {
        do {
            guard let uses = try chain.leaf.extensions.extendedKeyUsage else { return .meetsPolicy }
            let wanted: ExtendedKeyUsage.Usage = role == .client ? .clientAuth : .serverAuth
            guard uses.contains(wanted) || uses.contains(.any) else {
                let role = role
                return .failsToMeetPolicy(reason: "it is not for use as a \(role.rawValue)")
            }
            return .meetsPolicy
        } catch {
            return .failsToMeetPolicy(reason: "its extended key usage cannot be read")
        }
    }
}
