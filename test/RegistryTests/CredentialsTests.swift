import CSIProto
import FoundationEssentials
import GRPCCore
import Logging
import ServiceLifecycle
import SwiftProtobuf
import Synchronization
import TestSupport
import Testing

@testable import Registry

@Suite("Certificates and their files", .timeLimit(.minutes(5)))
struct CredentialsTests {
    let authority: TestAuthority

    init() throws {
        authority = try TestAuthority()
    }

    @Test("what cannot be used is refused at the start, naming the file")
    func unusable() throws {
        let good = try authority.files("pmem-registry")
        let other = try authority.files("pmem-registry")
        let garbage = try authority.write("garbage", as: "garbage.pem")
        for files in [
            TLSFiles(ca: garbage, certificate: good.certificate, key: good.key),
            TLSFiles(ca: good.ca, certificate: garbage, key: good.key),
            TLSFiles(ca: good.ca, certificate: good.certificate, key: garbage),
            TLSFiles(ca: good.ca, certificate: good.certificate, key: other.key),
            TLSFiles(ca: "/nonexistent/ca.pem", certificate: good.certificate, key: good.key),
        ] {
            let error = #expect(throws: TransportError.self) { try Credentials(files, logger: quiet) }
            #expect(error?.code == .invalidCertificate)
            #expect(error?.message.contains("/") == true)
        }
    }

    @Test("a certificate without its key changes nothing until the key is there too")
    func halfReplaced() throws {
        let log = LogRecorder()
        let files = try authority.files("pmem-registry", file: "own")
        let credentials = try Credentials(files, logger: log.logger(.info))
        let before = credentials.identity.leaf
        let next = try authority.files("pmem-registry", to: Date() + 90 * 86400)
        let key = try String(contentsOfFile: next.key, encoding: .utf8)
        _ = try authority.write(String(contentsOfFile: next.certificate, encoding: .utf8), as: "own.pem")
        for _ in 0..<3 { credentials.refresh() }
        #expect(credentials.identity.leaf == before)
        #expect(log.lines.count { $0.contains("those before stay in use") } == 1)
        _ = try authority.write(key, as: "own-key.pem")
        credentials.refresh()
        #expect(credentials.identity.leaf != before)
        #expect(log.lines.contains { $0.contains("certificates were replaced") })
    }

    @Test("the log warns of a certificate near its end", arguments: [(20, true), (40, false)])
    func expiry(_ days: Int, _ isSaid: Bool) throws {
        let log = LogRecorder()
        let end = Date() + Double(days) * 86400
        let credentials = try Credentials(
            authority.files("pmem-registry", to: end), logger: log.logger(.info))
        #expect(log.lines.contains { $0.contains("expires soon") } == isSaid)
        #expect(abs(credentials.expiry.timeIntervalSince(end)) < 2)
    }

    @Test("certificates and authority are replaced under load, and no call fails")
    func rotation() async throws {
        let second = try TestAuthority("second")
        let both = { [authority] in try authority.read() + "\n" + second.read() }
        let (node, registry) = (
            try authority.files("pmem-node-controller", file: "node"),
            try authority.files("pmem-registry", file: "registry")
        )
        let files = LogRecorder()
        let server = try Credentials(node, logger: files.logger(.warning))
        let client = try Credentials(registry, logger: files.logger(.warning))
        let callers = (0..<4).map { _ in Counter() }
        let over = Counter()
        let log = LogRecorder()
        try await withServer(server, peer: .registry, logger: log.logger(.info)) { endpoint in
            let security = MutualTLS(credentials: client, peer: .nodeController, logger: log.logger(.info))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for calls in callers {
                    group.addTask {
                        // A failure must not leave the others waiting for this one.
                        defer { over.add() }
                        while over.value == 0 {
                            let isServed = try await probe(endpoint, security)
                            #expect(isServed)
                            calls.add()
                        }
                    }
                }
                func turn() async throws {
                    for credentials in [server, client] { credentials.refresh() }
                    // Until no handshake is under way that began before.
                    let goals = callers.map { $0.value + 2 }
                    while over.value == 0, zip(callers, goals).contains(where: { $0.value < $1 }) {
                        try await Task.sleep(for: .milliseconds(5))
                    }
                }
                try await turn()
                // New leaves of the old authority.
                _ = try (
                    authority.files("pmem-node-controller", file: "node"),
                    authority.files("pmem-registry", file: "registry")
                )
                try await turn()
                // Both authorities, then leaves of the new one, then that alone.
                _ = try authority.write(both(), as: "ca.pem")
                try await turn()
                for (name, path) in [("pmem-node-controller", "node"), ("pmem-registry", "registry")] {
                    let new = try second.files(name)
                    _ = try authority.write(String(contentsOfFile: new.key, encoding: .utf8), as: "\(path)-key.pem")
                    _ = try authority.write(String(contentsOfFile: new.certificate, encoding: .utf8), as: "\(path).pem")
                    try await turn()
                }
                _ = try authority.write(second.read(), as: "ca.pem")
                try await turn()
                over.add()
                while let result = await group.nextResult() {
                    if case .failure(let error) = result { Issue.record("\(error): \(log.lines)") }
                }
            }
            #expect(log.lines.isEmpty, "\(log.lines)")
            #expect(files.lines.isEmpty, "\(files.lines)")
            // Nobody of the old authority gets in any more.
            let stranger = try TestAuthority()
            let old = try stranger.files("pmem-registry")
            let stale = TLSFiles(ca: second.path, certificate: old.certificate, key: old.key)
            let outsider = MutualTLS(
                credentials: try Credentials(stale, logger: quiet), peer: .nodeController, logger: quiet)
            await #expect(throws: RPCError.self) { try await probe(endpoint, outsider) }
        }
    }

    @Test("a client refuses a server with another name or of another authority")
    func wrongServer() async throws {
        let stranger = try TestAuthority()
        for files in [try authority.files("pmem-registry"), try stranger.files("pmem-node-controller")] {
            let trusting = TLSFiles(ca: authority.path, certificate: files.certificate, key: files.key)
            let log = LogRecorder()
            try await withServer(try Credentials(trusting, logger: quiet), peer: .registry) { endpoint in
                let security = MutualTLS(
                    credentials: try Credentials(authority.files("pmem-registry"), logger: quiet),
                    peer: .nodeController,
                    logger: log.logger(.info))
                let error = await #expect(throws: RPCError.self) { try await probe(endpoint, security) }
                #expect(error?.code == .unavailable)
                #expect(log.lines.contains { $0.contains("refused a certificate") && $0.contains("of=server") })
            }
        }
    }

    private func withServer(
        _ credentials: Credentials, peer: PeerName, logger: Logger = quiet, _ body: (Endpoint) async throws -> Void
    ) async throws {
        let service = GRPCService(
            endpoint: try Endpoint("tcp://127.0.0.1:0"), services: [TestIdentity()],
            security: MutualTLS(credentials: credentials, peer: peer, logger: logger), logger: quiet)
        try await running(service) { _ in try await body(try await service.listeningEndpoint) }
    }
}

private func probe(_ endpoint: Endpoint, _ security: MutualTLS) async throws -> Bool {
    try await withClient(to: endpoint, security: security) {
        try await Csi_V1_Identity.Client(wrapping: $0).probe(.init()).ready.value
    }
}

private final class Counter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add() { count.withLock { $0 += 1 } }
}
