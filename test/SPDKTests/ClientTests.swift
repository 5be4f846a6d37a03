import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import StandIn
import Synchronization
import TestSupport
import Testing

@testable import SPDK

/// The JSON-RPC client against servers that do not behave.
struct ClientTests {
    private static let credentials = RPCCredentials(username: "u", password: "p")

    private func call(
        _ handler: @escaping RawServer.Handler,
        _ body: @escaping @Sendable (RPCClient) async throws -> Void
    ) async throws {
        let server = try await RawServer(handler)
        try await server.serving {
            let http = HTTPClient.forSPDK()
            let line = RPCLine(.http("http://127.0.0.1:\(server.port)"), http: http)
            do {
                try await body(RPCClient(node: "n", line: line, credentials: Self.credentials))
            } catch {
                Issue.record(error)
            }
            try await http.shutdown()
        }
    }

    private func expect(
        _ code: SPDKError.Code, _ word: String = "storage node n", at location: SourceLocation = #_sourceLocation,
        _ call: () async throws -> Void
    ) async {
        do {
            try await call()
            Issue.record("the call succeeded; expected \(code)", sourceLocation: location)
        } catch let error as SPDKError {
            #expect(error.code == code, "\(error)", sourceLocation: location)
            #expect(error.message.contains(word), "\(error)", sourceLocation: location)
        } catch {
            Issue.record(error, sourceLocation: location)
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: SPDKError.Code
        let reply: RawReply

        init(_ name: String, _ code: SPDKError.Code, _ reply: RawReply) {
            (testDescription, self.code, self.reply) = (name, code, reply)
        }
    }

    @Test(arguments: [
        Case("401", .unauthorized, .http([], status: "401 Unauthorized")),
        Case("500", .lost, .http([], status: "500 Internal Server Error")),
        Case("404", .malformed, .http([], status: "404 Not Found")),
        Case("connection closed", .lost, .close),
        Case("half a head", .lost, .text("HTTP/1.0 20")),
        Case("no HTTP", .lost, .text("hello\r\n\r\n")),
        Case("empty body", .lost, .http([])),
        Case("truncated body", .lost, .http(Array(#"{"jsonrpc":"2.0","id":1,"resu"#.utf8))),
        Case(
            "shorter than its length", .lost,
            .text("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":1,\"result\":true}")),
        Case("another id", .malformed, .http(Array(#"{"jsonrpc":"2.0","id":77,"result":true}"#.utf8))),
        Case(
            "an error of another id", .malformed,
            .http(Array(#"{"id":77,"error":{"code":-19,"message":"No such device"}}"#.utf8))),
        Case("neither result nor error", .malformed, .http(Array(#"{"jsonrpc":"2.0","id":1}"#.utf8))),
        Case("another type", .malformed, .http(Array(#"{"jsonrpc":"2.0","id":1,"result":"x"}"#.utf8))),
        Case(
            "a refusal", .refused(-19), .http(Array(#"{"id":1,"error":{"code":-19,"message":"No such device"}}"#.utf8))),
        Case(
            "a refusal of what was no JSON", .refused(-32700),
            .http(Array(#"{"id":null,"error":{"code":-32700,"message":"Parse error"}}"#.utf8))),
        Case(
            "redirected", .malformed,
            .text("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")),
    ])
    func `A hostile answer is an error that says what may have happened`(test: Case) async throws {
        try await call({ _ in test.reply }) { client in
            await expect(test.code) { let _: Bool = try await client.change("m", [:]) }
        }
    }

    @Test func `Silence ends at the deadline`() async throws {
        try await call({ _ in .silence }) { client in
            let begin = ContinuousClock.now
            await expect(.late) { let _: Bool = try await client.change("m", [:], timeout: .milliseconds(300)) }
            #expect(ContinuousClock.now - begin < .seconds(3))
        }
    }

    @Test(arguments: ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n{\"jsonrpc\":", "HTTP/1.0 200"])
    func `An answer that stops ends at the deadline`(begin text: String) async throws {
        try await call({ _ in .stalled(Array(text.utf8)) }) { client in
            let begin = ContinuousClock.now
            await expect(.late) { let _: Bool = try await client.change("m", [:], timeout: .milliseconds(300)) }
            #expect(ContinuousClock.now - begin < .seconds(3))
        }
    }

    @Test func `Nobody there: not sent`() async throws {
        let http = HTTPClient.forSPDK()
        let client = RPCClient(
            node: "n", line: RPCLine(.http("http://127.0.0.1:1"), http: http), credentials: Self.credentials)
        await expect(.notSent) { let _: Bool = try await client.change("m", [:]) }
        try await http.shutdown()
    }

    @Test func `Without credentials nothing is sent`() async throws {
        let http = HTTPClient.forSPDK()
        let client = RPCClient(node: "n", line: RPCLine(.http("http://127.0.0.1:1"), http: http), credentials: nil)
        await expect(.notSent) { let _: Bool = try await client.change("m", [:]) }
        try await http.shutdown()
    }

    @Test func `What only reads is asked again, what changes is not`() async throws {
        let count = Mutex(0)
        let handler: RawServer.Handler = { request in
            count.withLock { $0 += 1 }
            guard count.withLock({ $0 }) > 1 else { return .close }
            let id = try? JSONDecoder().decode([String: JSONNode].self, from: Data(request.body))["id"]
            return .http((try? JSONNode.object(["id": id ?? .null, "result": true]).ascii()) ?? [])
        }
        try await call(handler) { client in
            let answer: Bool = try await client.read("m")
            #expect(answer)
            #expect(count.withLock { $0 } == 2)
        }
        count.withLock { $0 = 0 }
        try await call(handler) { client in
            await expect(.lost) { let _: Bool = try await client.change("m", [:]) }
            #expect(count.withLock { $0 } == 1)
        }
    }

    @Test func `A list without parameters has no params, and text beyond ASCII is escaped`() async throws {
        let bodies = Mutex<[String]>([])
        try await call({ request in
            bodies.withLock { $0.append(String(decoding: request.body, as: UTF8.self)) }
            return .http(Array(#"{"id":\#(bodies.withLock(\.count)),"result":true}"#.utf8))
        }) { client in
            let _: Bool = try await client.read("m")
            let _: Bool = try await client.read("m", ["name": "ä😀\"/"])
        }
        let sent = bodies.withLock { $0 }
        #expect(
            sent == [
                #"{"id":1,"jsonrpc":"2.0","method":"m"}"#,
                #"{"id":2,"jsonrpc":"2.0","method":"m","params":{"name":"\u00e4\ud83d\ude00\"/"}}"#,
            ])
    }

    @Test func `A slow node has its own callers wait, in order, until their deadline`() async throws {
        try await call({ _ in .silence }) { client in
            await withTaskGroup(of: SPDKError.Code?.self) { group in
                for _ in 0..<20 {
                    group.addTask { () -> SPDKError.Code? in
                        do {
                            let _: Bool = try await client.change("m", [:], timeout: .milliseconds(400))
                            return nil
                        } catch { return (error as? SPDKError)?.code }
                    }
                }
                var codes: [SPDKError.Code?] = []
                for await code in group { codes.append(code) }
                #expect(codes.count == 20)
                #expect(codes.allSatisfy { $0 == .late || $0 == .notSent })
                #expect(codes.contains(.notSent), "more calls went out than there are places")
            }
        }
    }

    @Test(arguments: [
        (-19, "No such device", Refusal.notFound), (19, "Unknown error -19", .notFound), (-17, "File exists", .exists),
        (-32602, "File exists", .exists), (-32602, "No space left on device", .noSpace),
        (-32602, "Invalid argument", .parameters), (-32603, "Operation not permitted", .notPermitted),
        (-32603, "Device or resource busy", .busy), (-32603, "Transport type 'TCP' already exists", .exists),
        (-32602, "Invalid parameters", .parameters), (-32602, "Subsystem with NQN 'x' not found", .notFound),
        (-32603, "Subsystem currently in another state change try again later.", .busy),
        (-32603, "subsystem busy, retry later.", .busy), (-32603, "Subsystem is already being destroyed.", .busy),
        (-2, "No such file or directory", .notFound), (-32601, "Method not found", .unknownMethod),
        (-32603, "spdk_json_decode_object failed", .parameters), (-32603, "Internal error", .other),
        // Another C library has other words for its numbers.
        (-19, "No error information", .notFound), (-28, "No error information", .noSpace),
    ])
    func `SPDK's numbers go before its words`(number: Int, text: String, meaning: Refusal) {
        #expect(SPDKError(.refused(number), "m", text: text).refusal == meaning)
    }

    @Test func `SPDK's own socket: the answer ends with its JSON`() async throws {
        let directory = try TemporaryDirectory(), path = "\(directory.path)/spdk.sock"
        let replies = Mutex<[RawReply]>([
            .text(#"{"jsonrpc":"2.0","id":1,"result":"}\"{"}"#), .text(#"{"id":2,"resu"#), .close, .silence,
        ])
        let server = try await RawServer(unixPath: path) { _ in replies.withLock { $0.removeFirst() } }
        try await server.serving {
            let http = HTTPClient.forSPDK()
            let client = RPCClient(node: "n", line: RPCLine(.unix(path), http: http), credentials: nil)
            let text: String = try await client.change("m", [:])
            #expect(text == "}\"{")
            await expect(.lost) { let _: Bool = try await client.change("m", [:]) }
            await expect(.lost) { let _: Bool = try await client.change("m", [:]) }
            await expect(.late) { let _: Bool = try await client.change("m", [:], timeout: .milliseconds(200)) }
            try await http.shutdown()
        }
        let http = HTTPClient.forSPDK()
        let gone = RPCClient(node: "n", line: RPCLine(.unix("\(directory.path)/none"), http: http), credentials: nil)
        await expect(.notSent) { let _: Bool = try await gone.change("m", [:]) }
        try await http.shutdown()
    }

    @Test func `A socket that is not there is an error each time, and nothing worse`() async throws {
        let directory = try TemporaryDirectory()
        for _ in 0..<500 {
            await expect(.notSent, "none") {
                _ = try await UnixExchange.run([], at: "\(directory.path)/none", timeout: .seconds(1))
            }
        }
    }
}
