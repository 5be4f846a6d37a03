import AsyncHTTPClient
import SPDK
import Synchronization

/// What this process remembers of one storage node: memory only, and nothing that would be missed after a restart.
final class StorageNode: Sendable {
    private struct State {
        var failure: (error: SPDKError, at: ContinuousClock.Instant)?
        /// The names that its logical volumes had when it was last seen.
        var names: Set<ListedName> = []
        /// Promised to thin volumes and not taken yet, by store.
        var promises: (bytes: [String: UInt64], at: ContinuousClock.Instant)?
    }

    struct ListedName: Hashable, Sendable {
        let name: String
        let isSnapshot: Bool
    }

    let address: RPCAddress
    let line: RPCLine
    private let state = Mutex(State())

    init(_ address: RPCAddress, http: HTTPClient) {
        self.address = address
        line = RPCLine(address, http: http)
    }

    /// A node that let a call wait in vain a moment ago: calls that can do without it do not wait for it again.
    var recentFailure: SPDKError? {
        state.withLock { state in
            guard let failure = state.failure, ContinuousClock.now - failure.at < .seconds(5) else { return nil }
            return failure.error
        }
    }

    /// Remembers whether the node could be reached.
    func note<Result: Sendable>(_ call: () async throws(SPDKError) -> Result) async throws(SPDKError) -> Result {
        let begin = ContinuousClock.now
        do {
            let result = try await call()
            note(nil, since: begin)
            return result
        } catch {
            note(error, since: begin)
            throw error
        }
    }

    /// Nil: it answered. One that refuses at once costs nobody anything.
    func note(_ error: SPDKError?, since begin: ContinuousClock.Instant) {
        let wasSlow = ContinuousClock.now - begin > .seconds(1)
        state.withLock { state in
            guard let error else {
                state.failure = nil
                return
            }
            if error.isOutage, wasSlow { state.failure = (error, ContinuousClock.now) }
        }
    }

    func remember(_ list: [ListedLogicalVolume]) {
        let names = Set(list.map { ListedName(name: $0.name, isSnapshot: $0.isSnapshot) })
        state.withLock { $0.names = names }
    }

    func remember(_ volume: LogicalVolume) {
        let name = ListedName(name: volume.name, isSnapshot: volume.isSnapshot)
        state.withLock { _ = $0.names.insert(name) }
    }

    func mayHave(_ fits: (ListedLogicalVolume) -> Bool) -> Bool {
        state.withLock(\.names).contains {
            fits(ListedLogicalVolume(uuid: "", name: $0.name, isSnapshot: $0.isSnapshot, store: ""))
        }
    }

    /// Nil when it is too old to be used.
    var promises: [String: UInt64]? {
        get {
            state.withLock { state in
                guard let promises = state.promises, ContinuousClock.now - promises.at < .seconds(30) else {
                    return nil
                }
                return promises.bytes
            }
        }
        set { state.withLock { $0.promises = newValue.map { ($0, .now) } } }
    }

    /// A thin volume was made or has grown.
    func promise(_ bytes: UInt64, in store: String) {
        state.withLock { state in
            guard let old = state.promises?.bytes[store] else { return }
            state.promises?.bytes[store] = old.addingReportingOverflow(bytes).partialValue
        }
    }
}
