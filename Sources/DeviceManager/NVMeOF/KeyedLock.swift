import Synchronization

/// An `AsyncLock` for each key that somebody holds or waits for: calls about different keys do not meet.
final class KeyedLock: Sendable {
    private struct Entry {
        let lock = AsyncLock()
        var users = 0
    }

    private let entries = Mutex<[String: Entry]>([:])

    func withLock<Result, Failure: Error>(
        _ key: String, isolation: isolated (any Actor)? = #isolation, _ body: () async throws(Failure) -> sending Result
    ) async throws(Failure) -> sending Result {
        let lock = entries.withLock { entries in
            entries[key, default: Entry()].users += 1
            return entries[key]?.lock ?? AsyncLock()
        }
        defer {
            entries.withLock { entries in
                entries[key]?.users -= 1
                if entries[key]?.users == 0 { entries[key] = nil }
            }
        }
        return try await lock.withLock(body)
    }
}
