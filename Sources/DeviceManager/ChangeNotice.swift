import Synchronization

/// A number that changes whenever the records do, and those who want to hear of it; owned by `VolumeRecords`.
package final class ChangeNotice: Sendable {
    private struct State {
        var count: UInt64 = 0
        var next: UInt64 = 0
        var listeners: [UInt64: AsyncStream<Void>.Continuation] = [:]
    }

    /// Numbers of an earlier start mean nothing.
    private let epoch = UInt64.random(in: 0...UInt64.max)
    private let state = Mutex(State())

    package var version: String { "\(String(epoch, radix: 16))-\(state.withLock(\.count))" }

    /// One element after each change, or after several; it ends when nobody reads it any more.
    package func changes() -> AsyncStream<Void> {
        let (stream, listener) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let key = state.withLock { state in
            defer { state.next += 1 }
            state.listeners[state.next] = listener
            return state.next
        }
        listener.onTermination = { [weak self] _ in self?.remove(key) }
        return stream
    }

    func post() {
        let listeners = state.withLock { state in
            state.count += 1
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.yield() }
    }

    private func remove(_ key: UInt64) {
        state.withLock { _ = $0.listeners.removeValue(forKey: key) }
    }
}
