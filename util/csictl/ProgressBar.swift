import GRPCCore
import ProgressProto
import SwiftProtobuf
import Synchronization

/// Shows how far the long work behind one call has come; owned by that call, silent while there is no such work.
///
/// On a terminal it is one line that is drawn anew and wiped at the end; elsewhere each news is a line of its own.
final class ProgressBar: Sendable {
    private struct State {
        var isOver = false
        var isDrawn = false
        /// Where the work was when it was first seen; what is left is reckoned from there.
        var first: (time: ContinuousClock.Instant, done: Int64)?
    }

    private let isTerminal: Bool
    private let write: @Sendable (String) -> Void
    private let state = Mutex(State())

    init(isTerminal: Bool, write: @escaping @Sendable (String) -> Void) {
        self.isTerminal = isTerminal
        self.write = write
    }

    /// Runs the call and meanwhile watches the work on the volume or snapshot it names; nil watches nothing.
    func following(_ subject: String?, _ client: Client, _ call: @escaping @Sendable () async throws -> Void)
        async throws
    {
        guard let subject else { return try await call() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { await self.watch(subject, client) }
            try await call()
        }
    }

    /// Wipes the line; nothing is drawn after this.
    func end() {
        state.withLock { state in
            if state.isDrawn && isTerminal { write("\r\u{1B}[K") }
            state.isOver = true
            state.isDrawn = false
        }
    }

    /// A driver without this service, or one that is just stopping, is no reason to say anything.
    private func watch(_ subject: String, _ client: Client) async {
        try? await Pmemcsi_V0_Progress.Client(wrapping: client).watch(.with { $0.name = subject }) { response in
            for try await work in response.messages { self.draw(work, at: .now) }
        }
    }

    func draw(_ work: Pmemcsi_V0_WatchResponse, at now: ContinuousClock.Instant) {
        state.withLock { state in
            guard !state.isOver else { return }
            let first = state.first ?? (now, work.doneBytes)
            state.first = first
            let text = Self.text(work, left: Self.secondsLeft(work, since: first, now))
            write(isTerminal ? "\r\(text)\u{1B}[K" : "\(text)\n")
            state.isDrawn = true
        }
    }

    static func text(_ work: Pmemcsi_V0_WatchResponse, left: Int64?) -> String {
        let total = max(work.totalBytes, 1)
        let share = Double(min(max(work.doneBytes, 0), total)) / Double(total)
        let full = Int(share * 30)
        let bar = String(repeating: "#", count: full) + String(repeating: "-", count: 30 - full)
        let name = work.name.isEmpty ? work.volumeID : work.name
        let mebibytes = "\(work.doneBytes >> 20) of \(work.totalBytes >> 20) MiB"
        return
            "\(work.operation) \(name) [\(bar)] \(Int(share * 100)) %, \(mebibytes)\(left.map { ", \($0) s left" } ?? "")"
    }

    /// At the speed since it was first seen; nil before it has moved.
    static func secondsLeft(
        _ work: Pmemcsi_V0_WatchResponse, since first: (time: ContinuousClock.Instant, done: Int64),
        _ now: ContinuousClock.Instant
    ) -> Int64? {
        let moved = Double(work.doneBytes) - Double(first.done)
        guard moved > 0 else { return nil }
        let left = max(Double(work.totalBytes) - Double(work.doneBytes), 0)
        return Int64(exactly: ((now - first.time) / .seconds(1) * left / moved).rounded(.up))
    }
}
