import Crypto
package import FoundationEssentials
package import Registry
import SwiftASN1
package import X509

/// A certificate authority of one test: makes certificates, good and bad ones, as files in a directory of its own.
package final class TestAuthority: Sendable {
    private let directory: TemporaryDirectory
    private let key = P256.Signing.PrivateKey()
    private let name: DistinguishedName
    package var path: String { "\(directory.path)/ca.pem" }

    package init(_ name: String = "test-ca") throws {
        directory = try TemporaryDirectory()
        self.name = try DistinguishedName { CommonName(name) }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: .init(key.publicKey),
            notValidBefore: Date() - 86400, notValidAfter: Date() + 3650 * 86400, issuer: self.name, subject: self.name,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
            }, issuerPrivateKey: .init(key))
        try Self.write(certificate.serializeAsPEM().pemString, path)
    }

    /// A certificate with this common name, and with the same as DNS name unless `san` says otherwise.
    ///
    /// Two with the same `file` replace each other.
    package func files(
        _ commonName: String, san: [String]? = nil, uses: [ExtendedKeyUsage.Usage] = [.serverAuth, .clientAuth],
        from start: Date = Date() - 3600, to end: Date = Date() + 365 * 86400, file: String? = nil
    ) throws -> TLSFiles {
        let own = P256.Signing.PrivateKey()
        let names = san ?? [commonName]
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: .init(own.publicKey),
            notValidBefore: start, notValidAfter: end, issuer: name,
            subject: DistinguishedName { CommonName(commonName) },
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage(uses)
                if !names.isEmpty { SubjectAlternativeNames(names.map { .dnsName($0) }) }
            }, issuerPrivateKey: .init(key))
        let path = "\(directory.path)/\(file ?? UUID().uuidString)"
        try Self.write(own.pemRepresentation, "\(path)-key.pem")
        try Self.write(certificate.serializeAsPEM().pemString, "\(path).pem")
        return TLSFiles(ca: self.path, certificate: "\(path).pem", key: "\(path)-key.pem")
    }

    package func write(_ text: String, as file: String) throws -> String {
        let path = "\(directory.path)/\(file)"
        try Self.write(text, path)
        return path
    }

    package func read() throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    /// As tools do: a whole file takes the place of the other.
    private static func write(_ text: String, _ path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    }
}
