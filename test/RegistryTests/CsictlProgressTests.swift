import CSIServer
import GRPCCore
import ProgressProto
import Registry
import ServiceLifecycle
import SwiftProtobuf
import Synchronization
import TestSupport
import Testing

@testable import csictl

/// What a bar wrote.
private final class Screen: Sendable {
    private let content = Mutex("")

    var text: String { content.withLock { $0 } }

    func write(_ text: String) {
        content.withLock { $0 += text }
    }
}

@Suite("progress of long work")
struct CsictlProgressTests {
    private let id = "pvc-1-0123"

    private func work(done: Int64, of total: Int64) -> Pmemcsi_V0_WatchResponse {
        .with {
            $0.name = "pvc-1"
            $0.operation = "erase"
            $0.doneBytes = done
            $0.totalBytes = total
        }
    }

    private func server(_ board: WorkBoard, _ endpoint: Endpoint) -> GRPCService {
        GRPCService(
            endpoint: endpoint, services: [ProgressService(board: board), TestIdentity()], drain: .seconds(3600),
            logger: quiet)
    }

    @Test("the board has a work from its beginning to its end, or until nobody holds it")
    func board() {
        let board = WorkBoard()
        let first = board.begin(id: id, name: "pvc-1", kind: .erase, total: 100)
        do {
            let second = board.begin(id: id, name: "pvc-1", kind: .copy, total: 50)
            second.update(70)
            #expect(board.all.map(\.kind) == [.erase, .copy])
            #expect(board.all.map(\.done) == [0, 50])
        }
        first.update(30)
        #expect(board.all.map(\.done) == [30])
        first.end()
        first.update(40)
        #expect(board.all.isEmpty)
    }

    @Test("a watch tells of the works that it names, by name or id, or of all", arguments: ["pvc-1", "id", ""])
    func watch(_ subject: String) async throws {
        let directory = try TemporaryDirectory()
        let board = WorkBoard()
        let other = board.begin(id: "b-0123", name: "b", kind: .copy, total: 10)
        let entry = board.begin(id: id, name: "pvc-1", kind: .erase, total: 100)
        let server = server(board, try directory.socket())
        let name = subject == "id" ? id : subject
        let seen = try await running(server) { _ in
            try await withClient(to: server.listeningEndpoint) { client in
                try await Pmemcsi_V0_Progress.Client(wrapping: client).watch(.with { $0.name = name }) { response in
                    var seen: [String] = []
                    for try await work in response.messages {
                        seen.append("\(work.operation) \(work.name) \(work.doneBytes)/\(work.totalBytes)")
                        if work.volumeID == id && work.doneBytes == 0 { entry.update(60) }
                        if work.doneBytes == 60 { break }
                    }
                    return seen
                }
            }
        }
        #expect(seen == (name.isEmpty ? ["copy b 0/10"] : []) + ["erase pvc-1 0/100", "erase pvc-1 60/100"])
        other.end()
    }

    @Test("a watch of nothing does not hold up a server that is to stop", .timeLimit(.minutes(5)))
    func shutdown() async throws {
        let directory = try TemporaryDirectory()
        let board = WorkBoard()
        let entry = board.begin(id: id, name: "pvc-1", kind: .erase, total: 100)
        let server = server(board, try directory.socket())
        try await running(server) { group in
            try await withClient(to: server.listeningEndpoint) { client in
                _ = try? await Pmemcsi_V0_Progress.Client(wrapping: client).watch(.with { $0.name = "" }) { response in
                    for try await _ in response.messages {
                        entry.end()
                        await group.triggerGracefulShutdown()
                    }
                }
            }
        }
    }

    @Test("a call with a bar ends with its answer where the driver reports no progress")
    func oldDriver() async throws {
        let directory = try TemporaryDirectory()
        let service = service(try directory.socket())
        let screen = Screen()
        try await running(service) { _ in
            try await withClient(to: service.listeningEndpoint) { client in
                let bar = ProgressBar(isTerminal: true, write: screen.write)
                let call = try #require(Method.named("probe")).prepare("{}")
                try await bar.following("pvc-1", client) { try await call(client, .defaults, screen.write) }
                bar.end()
            }
        }
        #expect(screen.text == #"{"ready":true}"#)
    }

    @Test("a call with a bar shows the work that it waits for")
    func bar() async throws {
        let directory = try TemporaryDirectory()
        let board = WorkBoard()
        let entry = board.begin(id: id, name: "pvc-1", kind: .erase, total: 100 << 20)
        let shown = Announcement<Void>()
        let screen = Screen()
        let server = server(board, try directory.socket())
        try await running(server) { _ in
            try await withClient(to: server.listeningEndpoint) { client in
                let bar = ProgressBar(isTerminal: false) { text in
                    screen.write(text)
                    shown.announce(.success(()))
                }
                try await bar.following("pvc-1", client) { try await shown.value }
            }
        }
        entry.end()
        #expect(screen.text == "erase pvc-1 [------------------------------] 0 %, 0 of 100 MiB\n")
    }

    @Test("on a terminal the bar is one line, wiped at the end, and nothing is drawn after that")
    func terminal() {
        let screen = Screen()
        let bar = ProgressBar(isTerminal: true, write: screen.write)
        let now = ContinuousClock.now
        bar.draw(work(done: 25 << 20, of: 100 << 20), at: now)
        bar.draw(work(done: 50 << 20, of: 100 << 20), at: now + .seconds(5))
        bar.end()
        bar.draw(work(done: 75 << 20, of: 100 << 20), at: now + .seconds(10))
        #expect(
            screen.text == "\rerase pvc-1 [#######-----------------------] 25 %, 25 of 100 MiB\u{1B}[K"
                + "\rerase pvc-1 [###############---------------] 50 %, 50 of 100 MiB, 10 s left\u{1B}[K\r\u{1B}[K")
    }

    @Test(
        "the bar stands for any numbers",
        arguments: [(0, 0), (5, 0), (-1, 10), (20, 10), (Int64.min, Int64.max), (Int64.max, Int64.max)])
    func numbers(_ done: Int64, _ total: Int64) {
        let text = ProgressBar.text(work(done: done, of: total), left: nil)
        #expect(text.prefix { $0 != "]" }.drop { $0 != "[" }.count == 31)
        let first = (time: ContinuousClock.now, done: Int64.min)
        let left = ProgressBar.secondsLeft(work(done: done, of: total), since: first, first.time + .seconds(5))
        #expect(left.map { $0 >= 0 } ?? true)
    }

    @Test(
        "the bar watches what the request makes, deletes or names",
        arguments: [
            (["create", "pvc-1"], "pvc-1"), (["delete", "v-1"], "v-1"), (["snapshot", "s", "v-1"], "s"),
            (["delete-snapshot", "s-1"], "s-1"), (["probe"], nil),
        ])
    func subject(_ words: [String], _ expected: String?) throws {
        #expect(try Request(Options(words, environment: [:])).subject == expected)
    }
}
