import FoundationEssentials
import Glibc
import NIOSSL
import SwiftASN1
import X509

/// The files that a process proves itself with, and those that it trusts others by; PEM all of them.
package struct TLSFiles: Sendable, Hashable {
    package let ca: String
    package let certificate: String
    package let key: String

    package init(ca: String, certificate: String, key: String) {
        self.ca = ca
        self.certificate = certificate
        self.key = key
    }

    var all: [String] { [ca, certificate, key] }
}

/// What the files held at one moment, proven to fit together: the key is that of the certificate.
struct Identity: Sendable {
    /// The largest file that is read: no bundle of certificates comes near it.
    private static let limit = 1 << 20

    let chain: [NIOSSLCertificateSource]
    let key: NIOSSLPrivateKeySource
    let leaf: Certificate
    let roots: CertificateStore
    /// When the first of the certificates ends that this side answers for.
    let expiry: Date

    init(_ files: TLSFiles) throws(TransportError) {
        let authorities = try Self.certificates(files.ca)
        let own = try Self.certificates(files.certificate)
        guard let leaf = own.first?.parsed else {
            throw TransportError(.invalidCertificate, "\(files.certificate) holds no certificate")
        }
        guard !authorities.isEmpty else {
            throw TransportError(.invalidCertificate, "-caFile: \(files.ca) holds no certificate")
        }
        let text = try Self.read(files.key)
        do {
            let key = try NIOSSLPrivateKey(bytes: text, format: .pem)
            guard
                try Certificate.PrivateKey(pemEncoded: String(decoding: text, as: UTF8.self)).publicKey
                    == leaf.publicKey
            else {
                throw TransportError(
                    .invalidCertificate, "\(files.key) is not the key of the certificate in \(files.certificate)")
            }
            self.key = .privateKey(key)
        } catch let error as TransportError {
            throw error
        } catch {
            throw TransportError(.invalidCertificate, "\(files.key) holds no usable private key", cause: error)
        }
        self.leaf = leaf
        chain = own.map { .certificate($0.raw) }
        roots = CertificateStore(authorities.map(\.parsed))
        expiry = (own + authorities).map(\.parsed.notValidAfter).min() ?? leaf.notValidAfter
    }

    private static func certificates(_ path: String) throws(TransportError) -> [(
        raw: NIOSSLCertificate, parsed: Certificate
    )] {
        let bytes = try read(path)
        do {
            return try NIOSSLCertificate.fromPEMBytes(bytes).map { ($0, try Certificate(derEncoded: $0.toDERBytes())) }
        } catch {
            throw TransportError(
                .invalidCertificate, "\(path) holds no certificate in PEM that can be read", cause: error)
        }
    }

    private static func read(_ path: String) throws(TransportError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw TransportError(.invalidCertificate, "cannot open \(path): \(errnoText())")
        }
        defer { close(descriptor) }
        var content = [UInt8](repeating: 0, count: limit)
        var length = 0
        while length < limit {
            let count = content.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress?.advanced(by: length), limit - length)
            }
            guard count >= 0 else {
                throw TransportError(.invalidCertificate, "cannot read \(path): \(errnoText())")
            }
            if count == 0 { return Array(content.prefix(length)) }
            length += count
        }
        throw TransportError(.invalidCertificate, "\(path) is larger than \(limit) bytes")
    }
}

extension TLSFiles {
    /// Changes whenever one of the files is replaced or written, also behind a symbolic link as in a Kubernetes volume.
    func fingerprint() -> [UInt64] {
        all.flatMap { path -> [UInt64] in
            var status = stat()
            guard stat(path, &status) == 0 else { return [0, 0, 0, 0] }
            let time = status.st_mtim
            return [
                UInt64(status.st_dev), UInt64(status.st_ino), UInt64(bitPattern: Int64(status.st_size)),
                UInt64(bitPattern: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)),
            ]
        }
    }
}
