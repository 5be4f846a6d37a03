import AsyncHTTPClient
import FoundationEssentials
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// One request's way to SPDK and back; every request has a connection of its own, as the proxy closes each.
///
/// It throws `notSent` only where certainly nothing reached SPDK.
struct RPCTransport: Sendable {
    /// SPDK's largest reply.
    static let limit = 32 << 20

    let address: RPCAddress
    let http: HTTPClient

    /// The reply's bytes.
    func exchange(
        _ body: [UInt8], credentials: RPCCredentials?, timeout: Duration
    ) async throws(SPDKError) -> [UInt8] {
        let timeout = TimeAmount(timeout)
        switch address {
        case .http(let url): return try await post(body, to: url, credentials, timeout)
        case .unix(let path): return try await UnixExchange.run(body, at: path, timeout: timeout)
        }
    }

    private func post(
        _ body: [UInt8], to url: String, _ credentials: RPCCredentials?, _ timeout: TimeAmount
    ) async throws(SPDKError) -> [UInt8] {
        guard let credentials else { throw SPDKError(.notSent, "there is no username and password for it") }
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Connection", value: "close")
        let pair = Data("\(credentials.username):\(credentials.password)".utf8).base64EncodedString()
        request.headers.add(name: "Authorization", value: "Basic \(pair)")
        request.body = .bytes(ByteBuffer(bytes: body))
        do {
            let deadline = NIODeadline.now() + timeout
            let response = try await http.execute(request, deadline: deadline)
            try check(response.status)
            return try await Self.body(of: response, until: deadline)
        } catch let error as SPDKError {
            throw error
        } catch {
            throw failure(error)
        }
    }

    /// Without a length, the reply ends with the connection: whether it is whole, JSON tells. The deadline of
    /// AsyncHTTPClient ends with the head of a response, and a node without power never sends the rest.
    private static func body(of response: HTTPClientResponse, until deadline: NIODeadline) async throws -> [UInt8] {
        try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask { Array(buffer: try await response.body.collect(upTo: limit)) }
            group.addTask {
                try await Task.sleep(for: .nanoseconds((deadline - .now()).nanoseconds))
                return nil
            }
            defer { group.cancelAll() }
            guard let bytes = try await group.next() ?? nil else { throw SPDKError(.late, "half an answer in time") }
            return bytes
        }
    }

    private func check(_ status: HTTPResponseStatus) throws(SPDKError) {
        switch status.code {
        case 200..<300: return
        case 401, 403: throw SPDKError(.unauthorized, "it refuses the username and password (HTTP \(status.code))")
        // Its proxy answers so too when the reply of SPDK was not to its liking.
        case 500...: throw SPDKError(.lost, "its proxy failed (HTTP \(status.code))")
        default: throw SPDKError(.malformed, "HTTP \(status.code) is no answer of a JSON-RPC proxy")
        }
    }

    private func failure(_ error: any Error) -> SPDKError {
        switch error {
        case let error as HTTPClientError where Self.beforeSending.contains(error):
            SPDKError(.notSent, "cannot connect: \(error.shortDescription)")
        case let error as HTTPClientError where error == .deadlineExceeded || error == .readTimeout:
            SPDKError(.late, "no answer in time")
        case let error as HTTPClientError where error == .remoteConnectionClosed:
            SPDKError(.lost, "the connection ended without an answer; is SPDK running behind the proxy?")
        case is NIOTooManyBytesError: SPDKError(.malformed, "the answer is larger than \(Self.limit) bytes")
        case let error as ChannelError where error.isConnectTimeout: SPDKError(.notSent, "cannot connect in time")
        case let error as NIOConnectionError: SPDKError(.notSent, "cannot connect: \(error.reason)")
        case let error as IOError where error.isRefusedConnection: SPDKError(.notSent, "cannot connect: \(error)")
        default: SPDKError(.lost, "the connection failed: \(error)")
        }
    }

    private static let beforeSending: [HTTPClientError] = [
        .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout, .invalidURL, .emptyHost,
        .alreadyShutdown,
    ]
}

extension NIOConnectionError {
    fileprivate var reason: String {
        if let first = connectionErrors.first { return "\(first.error)" }
        return "\(host) has no address"
    }
}

extension ChannelError {
    var isConnectTimeout: Bool {
        if case .connectTimeout = self { true } else { false }
    }
}

extension IOError {
    var isRefusedConnection: Bool {
        [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOENT, EACCES, ENOTSOCK].contains(errnoCode)
    }
}

extension TimeAmount {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
