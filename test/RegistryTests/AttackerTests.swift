import CSIProto
import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc
import Logging
import NIOPosix
import Registry
import ServiceLifecycle
import SwiftProtobuf
import TestSupport
import Testing
import X509

/// A server that only `pmem-registry` may call, as a node's controller service is, and those who may not.
@Suite("Who gets in", .timeLimit(.minutes(5)))
struct AttackerTests {
    static let authority = Result { try TestAuthority() }
    static let foreign = Result { try TestAuthority("evil-ca") }

    /// What an attacker shows, and a word of the line that the log has about it.
    struct Attack: Sendable, CustomTestStringConvertible {
        let name: String
        let log: String
        /// Nil: no certificate at all.
        let files: @Sendable () throws -> TLSFiles?
        var testDescription: String { name }
    }

    static let attacks = [
        Attack(name: "no certificate", log: "a TLS handshake failed") { nil },
        Attack(name: "foreign CA", log: "refused a certificate") { try foreign.get().files("pmem-registry") },
        Attack(name: "right CA, wrong name", log: "its names are wrong") { try authority.get().files("wrong") },
        Attack(name: "a node's certificate at a node", log: "its names are pmem-node-controller") {
            try authority.get().files("pmem-node-controller")
        },
        Attack(name: "expired", log: "refused a certificate") {
            try authority.get().files("pmem-registry", from: Date() - 7200, to: Date() - 3600)
        },
        Attack(name: "not yet valid", log: "refused a certificate") {
            try authority.get().files("pmem-registry", from: Date() + 3600, to: Date() + 7200)
        },
        Attack(name: "not for clients", log: "it is not for use as a client") {
            try authority.get().files("pmem-registry", uses: [.serverAuth])
        },
    ]

    @Test("a certificate that is not right is refused, and the log says why", arguments: attacks)
    func certificates(_ attack: Attack) async throws {
        try await withServer { endpoint, log in
            let files = try attack.files()
            await #expect(throws: RPCError.self) { try await probe(endpoint, as: files) }
            // The server may log after the client was refused.
            try await log.wait(for: attack.log)
            try await log.wait(for: "a TLS handshake failed", "127.0.0.1")
        }
    }

    @Test(
        "names count as DNS name or as common name",
        arguments: [("pmem-registry", []), ("other", ["pmem-registry"]), ("pmem-registry", ["other"])]
            as [(String, [String])])
    func names(_ common: String, _ san: [String]) async throws {
        try await withServer { endpoint, _ in
            let files = try Self.authority.get().files(common, san: san)
            #expect(try await probe(endpoint, as: files))
        }
    }

    /// A TLS 1.1 ClientHello, HTTP/2 and HTTP/1 in plain text, and garbage.
    static let bytes: [(String, [UInt8])] = [
        (
            "TLS 1.1",
            [22, 3, 1, 0, 51, 1, 0, 0, 47, 3, 2] + [UInt8](repeating: 7, count: 32) + [
                0, 0, 8, 0xc0, 0x13, 0xc0, 0x14, 0, 0x2f, 0, 0x35, 1, 0,
            ]
        ),
        ("plain HTTP/2", Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)),
        ("plain HTTP/1", Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)),
        ("garbage", (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 5) }),
    ]

    @Test("what is no TLS 1.2 is closed, and the log says so", arguments: bytes.indices)
    func plainBytes(_ index: Int) async throws {
        try await withServer { endpoint, log in
            let connection = try Stranger(endpoint)
            connection.send(Self.bytes[index].1)
            let answer = try await connection.readToEnd()
            // At most an alert comes back; for TLS 1.1 it must be "protocol version".
            #expect(answer.count <= 64)
            if index == 0 { #expect(answer.first == 21 && answer.last == 70, "\(answer)") }
            #expect(log.lines.contains { $0.contains("a TLS handshake failed") }, "\(log.lines)")
        }
    }

    @Test("a slow handshake is ended, and the log says so")
    func slow() async throws {
        try await withServer(handshake: .seconds(15)) { endpoint, log in
            let connection = try Stranger(endpoint)
            connection.send([22, 3, 1])
            #expect(try await connection.readToEnd().isEmpty)
            #expect(log.lines.contains { $0.contains("took too long") })
        }
    }

    @Test("a thousand idle connections are bounded, and keep nobody out")
    func idle() async throws {
        try await withServer { endpoint, log in
            // Connecting waits when the server's line is full, and must not keep the tests' own threads from their work.
            let strangers = try await NIOThreadPool.singleton.runIfActive {
                try (0..<1000).map { _ in try Stranger(endpoint) }
            }
            let files = try Self.authority.get().files("pmem-registry")
            for _ in 0..<5 { #expect(try await probe(endpoint, as: files)) }
            #expect(try await strangers[0].readToEnd().isEmpty)
            #expect(log.lines.count { $0.contains("this is the oldest") } >= 488)
            strangers[999].send([0])
        }
    }

    /// Runs the server for the body, and sees that others are served as before when it is done.
    private func withServer(
        handshake: Duration = .seconds(60), _ body: (Registry.Endpoint, LogRecorder) async throws -> Void
    ) async throws {
        let log = LogRecorder()
        let logger = log.logger(.info)
        let authority = try Self.authority.get()
        let credentials = try Credentials(authority.files("pmem-node-controller"), logger: quiet)
        let service = GRPCService(
            endpoint: try Registry.Endpoint("tcp://127.0.0.1:0"), services: [TestIdentity()],
            security: MutualTLS(credentials: credentials, peer: .registry, logger: logger), handshake: handshake,
            logger: logger)
        try await running(service) { _ in
            let endpoint = try await service.listeningEndpoint
            let good = try Credentials(authority.files("pmem-registry"), logger: quiet)
            let security = MutualTLS(credentials: good, peer: .nodeController, logger: quiet)
            try await withClient(to: endpoint, security: security) { client in
                let identity = Csi_V1_Identity.Client(wrapping: client)
                #expect(try await identity.probe(.init()).ready.value)
                try await body(endpoint, log)
                #expect(try await identity.probe(.init()).ready.value)
            }
            let files = try authority.files("pmem-registry")
            #expect(try await probe(endpoint, as: files))
        }
    }

    /// Trusts any server: here the server is to refuse.
    private func probe(_ endpoint: Registry.Endpoint, as files: TLSFiles?) async throws -> Bool {
        guard case .tcp(let host, let port) = endpoint.address else { return false }
        let security: HTTP2ClientTransport.Posix.TransportSecurity
        if let files {
            security = .mTLS(
                certificateChain: [.file(path: files.certificate, format: .pem)],
                privateKey: .file(path: files.key, format: .pem)
            ) { $0.serverCertificateVerification = .noVerification }
        } else {
            security = .tls { $0.serverCertificateVerification = .noVerification }
        }
        let transport = try HTTP2ClientTransport.Posix(
            target: .ipv4(address: host, port: Int(port)), transportSecurity: security,
            config: .defaults { $0.http2.authority = "pmem-node-controller" })
        return try await withGRPCClient(transport: transport) { client in
            try await Csi_V1_Identity.Client(wrapping: client).probe(.init()).ready.value
        }
    }
}

/// A plain TCP connection; closed with its last reference.
final class Stranger: Sendable {
    private let descriptor: Int32

    init(_ endpoint: Registry.Endpoint) throws {
        guard case .tcp(_, let port) = endpoint.address else { throw POSIXFailure(code: EINVAL) }
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw POSIXFailure(code: errno) }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) { _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    /// Until the server closes the connection.
    func readToEnd() async throws -> [UInt8] {
        try await NIOThreadPool.singleton.runIfActive { [descriptor] in
            var (all, chunk) = ([UInt8](), [UInt8](repeating: 0, count: 4096))
            while true {
                let count = recv(descriptor, &chunk, chunk.count, 0)
                guard count > 0 else { return all }
                all += chunk.prefix(count)
            }
        }
    }
}

struct POSIXFailure: Error {
    let code: Int32
}
