import CSIProto
import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import GRPCProtobuf
import Registry
import SwiftProtobuf
import Synchronization

/// What the command line says about a run.
struct Settings: Sendable {
    var size: Int64 = 16 * MiB
    var filesystems = ["ext4"]
    var parameters: [String: String] = [:]
    var mutable: [String: String] = [:]
    var log: String?
    var work = "/tmp/csi-conformance"
}

/// The driver under test: its endpoint, what it offers, and what the checks have made there.
///
/// Made once per run, shared by all checks; every call goes through `send`, which holds each answer against the rules
/// that bind all answers.
final class Driver: Sendable {
    /// Stands in every secret that is sent, and must never come back.
    static let marker = "sEcReT-vAlUe-tHaT-mUsT-nEvEr-ShOw"

    let client: Clients
    let settings: Settings
    let facts: Facts
    let ledger = Ledger()
    /// What was found by trying; filled before the first check.
    let explored = Mutex<Set<Feature>>([])
    private let count = Mutex(0)
    private let run: String

    /// `run` makes the names of one run different from another's.
    init(client: Clients, settings: Settings, run: String) async throws {
        self.run = run
        self.client = client
        self.settings = settings
        facts = try await Facts(of: client)
    }

    /// A name that nothing else has.
    func name(_ what: String = "volume") -> String {
        let number = count.withLock { count in
            count += 1
            return count
        }
        return "conformance-\(run)-\(what)-\(number)"
    }

    /// Sends a request and returns the answer; throws RPCError for a refusal and Failure for what no driver may answer.
    @discardableResult
    func send<Request: Call>(_ request: Request) async throws -> Request.Answer {
        var request = request
        if var secret = request as? any Confidential, secret.secrets.isEmpty {
            secret.secrets = ["token": Self.marker]
            request = secret as? Request ?? request
        }
        let answer: Request.Answer
        do {
            answer = try await sendAgainIfReset(request)
        } catch let error as RPCError {
            try Rules.check(error, of: Request.title)
            throw error
        }
        ledger.note(request, answer)
        try Rules.check(answer, to: request)
        return answer
    }

    /// Servers written in Go reset one stream in a few hundred, and this client takes that for an end. A driver that has
    /// really ended cannot answer on the same connection.
    private func sendAgainIfReset<Request: Call>(_ request: Request) async throws -> Request.Answer {
        do {
            return try await client.send(request)
        } catch let error as RPCError {
            guard error.code == .unavailable, error.message.hasPrefix("Stream unexpectedly closed") else { throw error }
            try await client.send(Csi_V1_ProbeRequest())
            return try await client.send(request)
        }
    }

    /// How a call ends, for checks that do not need the answer.
    func outcome<Request: Call>(_ request: Request) async throws -> Outcome {
        do {
            try await send(request)
            return .ok
        } catch let error as RPCError {
            return Outcome(error.code)
        }
    }

    /// The call must end in one of these ways.
    @discardableResult
    func expect(
        _ wanted: Outcome..., of request: some Call, _ what: @autoclosure () -> String = ""
    ) async throws -> Outcome {
        try await expect(Set(wanted), of: request, what())
    }

    @discardableResult
    func expect<Request: Call>(_ wanted: Set<Outcome>, of request: Request, _ what: String) async throws -> Outcome {
        var seen = "OK"
        do {
            try await send(request)
            if wanted.contains(.ok) { return .ok }
        } catch let error as RPCError {
            if wanted.contains(Outcome(error.code)) { return Outcome(error.code) }
            seen = describe(error)
        }
        throw Failure("\(Request.title)\(what.isEmpty ? "" : " \(what)"): \(seen) instead of \(names(wanted))")
    }
}

/// Connections to the driver: one, or a second one for the node calls where another process answers those.
struct Clients: Sendable {
    typealias Client = GRPCClient<HTTP2ClientTransport.Posix>

    /// No call of a driver takes this long; whoever waits longer waits for a hang.
    static let patience = Duration.seconds(60)

    let first: Client
    var node: Client?

    func client(for method: MethodDescriptor) -> Client {
        method.service == Csi_V1_Node.descriptor ? node ?? first : first
    }

    @discardableResult
    func send<Request: Call>(_ request: Request) async throws -> Request.Answer {
        var options = CallOptions.defaults
        options.timeout = Self.patience
        return try await client(for: Request.method).unary(
            request: ClientRequest(message: request), descriptor: Request.method,
            serializer: ProtobufSerializer<Request>(), deserializer: ProtobufDeserializer<Request.Answer>(),
            options: options
        ) { try $0.message }
    }
}
