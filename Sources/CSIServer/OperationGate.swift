import Synchronization

/// One operation at a time per volume: a second caller gets `aborted`, as CSI asks (section "Error Scheme").
///
/// One gate per process, shared by the controller service, the node service and the recovery after a start.
package final class OperationGate: Sendable {
    private let busy = Mutex<Set<String>>([])

    package init() {}

    /// Runs `body` while no other operation holds any of `keys`.
    ///
    /// Throws `aborted` at once when one is held; the caller comes again with a delay.
    package func run<Result>(
        _ keys: String..., isolation: isolated (any Actor)? = #isolation, body: () async throws -> sending Result
    ) async throws -> sending Result {
        try await run(holding: Set(keys), body: body)
    }

    /// All of the keys at once, so that two calls never wait for each other.
    package func run<Result>(
        holding taken: Set<String>, isolation: isolated (any Actor)? = #isolation,
        body: () async throws -> sending Result
    ) async throws -> sending Result {
        let conflict = busy.withLock { busy in
            let conflict = taken.first(where: busy.contains)
            if conflict == nil { busy.formUnion(taken) }
            return conflict
        }
        if let conflict {
            throw RequestError(.aborted, "\(conflict): another operation on it is under way; try again later")
        }
        defer { busy.withLock { $0.subtract(taken) } }
        return try await body()
    }
}
