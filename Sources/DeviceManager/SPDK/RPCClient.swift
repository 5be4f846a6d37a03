package import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOPosix
import Synchronization

/// JSON-RPC 2.0 with one storage node: numbers, deadlines, errors, and repeats of what may be repeated.
///
/// A value for one CSI call, with that call's credentials; connections, places and request numbers are shared through
/// `RPCLine`.
package struct RPCClient: Sendable {
    /// Whether a call may be sent again when its answer was lost.
    package enum Repeat: Sendable {
        /// It only reads.
        case safe
        /// Only where certainly nothing was sent.
        case unsent
    }

    package let node: String
    let line: RPCLine
    let credentials: RPCCredentials?

    package init(node: String, line: RPCLine, credentials: RPCCredentials?) {
        self.node = node
        self.line = line
        self.credentials = credentials
    }

    /// Asks for something, again if the answer is lost. `timeout` is for all attempts together.
    package func read<Result: Decodable & Sendable>(
        _ method: String, _ parameters: [String: JSONNode]? = nil, timeout: Duration = .seconds(10),
        as type: Result.Type = Result.self
    ) async throws(SPDKError) -> Result {
        try await call(method, parameters, timeout: timeout, repeating: .safe)
    }

    /// Changes something, which may take long: the proxy does one thing at a time.
    package func change<Result: Decodable & Sendable>(
        _ method: String, _ parameters: [String: JSONNode], timeout: Duration = .seconds(25),
        as type: Result.Type = Result.self
    ) async throws(SPDKError) -> Result {
        try await call(method, parameters, timeout: timeout, repeating: .unsent)
    }

    private func call<Result: Decodable & Sendable>(
        _ method: String, _ parameters: [String: JSONNode]?, timeout: Duration, repeating: Repeat
    ) async throws(SPDKError) -> Result {
        let deadline = ContinuousClock.now + timeout
        var pause = Duration.milliseconds(50)
        while true {
            do {
                return try await attempt(method, parameters, deadline: deadline)
            } catch {
                let mayRepeat = error.code == .notSent || (error.code == .lost && repeating == .safe)
                // A quarter of a second: a proxy that is being restarted is not back sooner than the next call.
                guard mayRepeat, credentials != nil || !line.needsCredentials, pause < .milliseconds(200),
                    ContinuousClock.now + pause < deadline
                else { throw error }
                do {
                    try await Task.sleep(for: pause)
                } catch {
                    throw SPDKError(.notSent, "storage node \(node): \(method): cancelled")
                }
                pause *= 2
            }
        }
    }

    private func attempt<Result: Decodable & Sendable>(
        _ method: String, _ parameters: [String: JSONNode]?, deadline: ContinuousClock.Instant
    ) async throws(SPDKError) -> Result {
        let id = line.nextID()
        do {
            let reply = try await line.send(
                try Self.request(id, method, parameters), credentials: credentials, deadline: deadline)
            return try Self.result(reply, id: id)
        } catch let error as SPDKError {
            throw SPDKError(
                error.code, "storage node \(node): \(method): \(error.message)", text: error.text)
        } catch {
            throw SPDKError(.malformed, "storage node \(node): \(method): \(error)")
        }
    }

    private static func request(_ id: Int, _ method: String, _ parameters: [String: JSONNode]?) throws -> [UInt8] {
        var request: [String: JSONNode] = ["jsonrpc": "2.0", "id": .integer(id), "method": .string(method)]
        // SPDK's lists refuse an empty object.
        if let parameters { request["params"] = .object(parameters) }
        return try JSONNode.object(request).ascii()
    }

    private static func result<Result: Decodable>(_ bytes: [UInt8], id: Int) throws -> Result {
        let reply: Reply<Result>
        do {
            reply = try JSONDecoder().decode(Reply<Result>.self, from: Data(bytes))
        } catch {
            // Cut off, or something else altogether: nobody knows what became of the call.
            guard let failure = try? JSONDecoder().decode(Reply<JSONNode>.self, from: Data(bytes)) else {
                throw SPDKError(.lost, "the answer of \(bytes.count) bytes is not whole, or no JSON-RPC")
            }
            guard failure.error == nil else { throw try failure.refusal(id) }
            throw SPDKError(.malformed, "the answer has another form than this version of the driver knows: \(error)")
        }
        guard reply.error == nil else { throw try reply.refusal(id) }
        guard reply.id == .integer(id) else { throw reply.foreign(id) }
        guard let result = reply.result else { throw SPDKError(.malformed, "the answer has neither result nor error") }
        return result
    }
}

private struct Reply<Result: Decodable>: Decodable {
    struct Failure: Decodable {
        let code: Int
        let message: String?
    }

    let id: JSONNode?
    let result: Result?
    let error: Failure?

    /// Throws where the refusal is not of this request.
    func refusal(_ wanted: Int) throws(SPDKError) -> SPDKError {
        // A request that could not be parsed has no number.
        guard id == .integer(wanted) || id == .null || id == nil else { throw foreign(wanted) }
        let text = String((error?.message ?? "").prefix(500))
        return SPDKError(.refused(error?.code ?? 0), "\(text) (\(error?.code ?? 0))", text: text)
    }

    func foreign(_ wanted: Int) -> SPDKError {
        SPDKError(.malformed, "the answer is of another request than \(wanted)")
    }
}

/// What all calls to one storage node share: HTTP, the numbers of requests, and a few places, so that a slow node has
/// its own callers wait and nobody else's.
package final class RPCLine: Sendable {
    private let transport: RPCTransport
    private let places: Places
    private let counter = Atomic(0)

    package init(_ address: RPCAddress, http: HTTPClient, places: Int = 4) {
        transport = RPCTransport(address: address, http: http)
        self.places = Places(places)
    }

    var needsCredentials: Bool {
        if case .http = transport.address { true } else { false }
    }

    func nextID() -> Int { counter.add(1, ordering: .relaxed).newValue }

    func send(
        _ body: [UInt8], credentials: RPCCredentials?, deadline: ContinuousClock.Instant
    ) async throws(SPDKError) -> [UInt8] {
        guard await places.take(until: deadline) else {
            throw SPDKError(.notSent, "it is busy with other calls")
        }
        defer { places.leave() }
        let left = deadline - .now
        guard left > .zero else { throw SPDKError(.notSent, "it is busy with other calls") }
        return try await transport.exchange(body, credentials: credentials, timeout: left)
    }
}

extension HTTPClient {
    /// One for all storage nodes: certificates are verified, nothing is followed, nothing is tried twice.
    package static func forSPDK() -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(3)))
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        return HTTPClient(
            eventLoopGroupProvider: .shared(.singletonMultiThreadedEventLoopGroup), configuration: configuration)
    }
}
