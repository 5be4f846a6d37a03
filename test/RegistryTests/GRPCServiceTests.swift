import CSIProto
import GRPCCore
import Glibc
import Registry
import ServiceLifecycle
import SwiftProtobuf
import Synchronization
import TestSupport
import Testing

@Suite("GRPCService", .timeLimit(.minutes(5)))
struct GRPCServiceTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test("a socket is private to owner and group, and gone after shutdown")
    func socketFile() async throws {
        let endpoint = try directory.socket()
        let service = service(endpoint)
        try await running(service) { _ in
            let listening = try await service.listeningEndpoint
            #expect(listening == endpoint)
            #expect(try await probe(endpoint).ready.value)
            var status = stat()
            #expect(lstat("\(directory.path)/a.sock", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o660)
        }
        #expect(access("\(directory.path)/a.sock", F_OK) != 0)
    }

    @Test("a stale socket is replaced")
    func staleSocket() async throws {
        let endpoint = try directory.socket()
        close(try ListeningSocket(endpoint).descriptor)
        #expect(access("\(directory.path)/a.sock", F_OK) == 0)
        let service = service(endpoint)
        try await running(service) { _ in
            _ = try await service.listeningEndpoint
            #expect(try await probe(endpoint).ready.value)
        }
    }

    @Test("a live socket is left alone and named")
    func liveSocket() async throws {
        let endpoint = try directory.socket()
        let first = service(endpoint)
        try await running(first) { _ in
            _ = try await first.listeningEndpoint
            let error = await #expect(throws: TransportError.self) { try await service(endpoint).run() }
            #expect(error?.code == .inUse)
            #expect(error?.message.contains(endpoint.description) == true)
            #expect(try await probe(endpoint).ready.value)
        }
    }

    @Test("a file that is no socket is an error and stays")
    func plainFile() async throws {
        let path = "\(directory.path)/file"
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        let error = await #expect(throws: TransportError.self) { try await service(Endpoint(unix: path)).run() }
        #expect(error?.code == .notASocket)
        #expect(access(path, F_OK) == 0)
    }

    @Test("a missing directory is named")
    func missingDirectory() async throws {
        let service = service(try Endpoint(unix: "\(directory.path)/none/a.sock"))
        let error = await #expect(throws: TransportError.self) { try await service.run() }
        #expect(error?.message.contains("no directory \(directory.path)/none") == true)
        await #expect(throws: TransportError.self) { try await service.listeningEndpoint }
    }

    @Test("port 0 gives a real port, and a port in use is fatal")
    func tcp() async throws {
        let first = service(try Endpoint("tcp://127.0.0.1:0"))
        try await running(first) { _ in
            let endpoint = try await first.listeningEndpoint
            #expect(endpoint.description != "tcp://127.0.0.1:0")
            #expect(try await probe(endpoint).ready.value)
            let error = await #expect(throws: TransportError.self) { try await service(endpoint).run() }
            #expect(error?.code == .inUse)
        }
    }

    /// Those loopback addresses that this machine has; the empty host is a server's own.
    static var loopbacks: [String] {
        ["", "127.0.0.1", "[::1]"].filter { host in
            guard let socket = try? ListeningSocket(Endpoint("tcp://\(host):0")) else { return false }
            close(socket.descriptor)
            return true
        }
    }

    @Test("without a host it listens on every address, of IPv4 and of IPv6", arguments: GRPCServiceTests.loopbacks)
    func everywhere(_ host: String) async throws {
        let service = service(try Endpoint("tcp://:0"))
        try await running(service) { _ in
            guard case .tcp("", let port) = try await service.listeningEndpoint.address else {
                Issue.record("it listens elsewhere")
                return
            }
            #expect(try await probe(Endpoint("tcp://\(host):\(port)")).ready.value)
        }
    }

    @Test("graceful shutdown lets a call in flight finish")
    func gracefulShutdown() async throws {
        let endpoint = try directory.socket()
        let (entered, release) = (Announcement<Void>(), Announcement<Void>())
        let identity = TestIdentity {
            entered.announce(.success(()))
            try await release.value
        }
        let service = service(endpoint, identity)
        try await running(service) { group in
            _ = try await service.listeningEndpoint
            async let answer = probe(endpoint)
            try await entered.value
            await group.triggerGracefulShutdown()
            release.announce(.success(()))
            let ready = try await answer.ready.value
            #expect(ready)
        }
    }

    @Test("a shutdown in the first moment ends the server", arguments: 0..<20)
    func earlyShutdown(_ round: Int) async throws {
        let service = service(try directory.socket())
        try await running(service) { _ in _ = try await service.listeningEndpoint }
    }

    @Test("an idle client does not hold up the shutdown")
    func idleClient() async throws {
        let endpoint = try directory.socket()
        let service = service(endpoint, drain: .seconds(3600))
        var options = CallOptions.defaults
        options.waitForReady = true
        try await withClient(to: endpoint) { [options] client in
            try await running(service) { _ in
                let identity = Csi_V1_Identity.Client(wrapping: client)
                let ready = try await identity.probe(Csi_V1_ProbeRequest(), options: options).ready.value
                #expect(ready)
            }
        }
    }

    @Test("a call that outlives the time to drain is cancelled")
    func drainBound() async throws {
        let endpoint = try directory.socket()
        let entered = Announcement<Void>()
        let wasCancelled = Mutex(false)
        let identity = TestIdentity {
            entered.announce(.success(()))
            do {
                try await Task.sleep(for: .seconds(3600))
            } catch {
                wasCancelled.withLock { $0 = true }
                throw error
            }
        }
        let service = service(endpoint, identity, drain: .milliseconds(1))
        try await running(service) { group in
            _ = try await service.listeningEndpoint
            async let answer = Result(catching: { try await probe(endpoint) })
            try await entered.value
            await group.triggerGracefulShutdown()
            let result = await answer
            #expect(throws: RPCError.self) { try result.get() }
        }
        #expect(wasCancelled.withLock { $0 })
    }
}
