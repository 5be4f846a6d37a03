import AsyncHTTPClient
import DeviceManager
import SPDK
import Synchronization

/// What this process remembers of one storage node: memory only, and nothing that would be missed after a restart.
final class StorageNode: Sendable {
    private struct State {
        var failure: (error: SPDKError, at: ContinuousClock.Instant)?
        /// The names that its logical volumes had when it was last seen.
        var names: Set<ListedName> = []
        /// The stores that it ever had.
        var stores: Set<String> = []
        /// Promised to thin volumes and not taken yet, by store.
        var promises: (bytes: [String: UInt64], at: ContinuousClock.Instant)?
        /// How often they changed.
        var changes = 0
    }

    struct ListedName: Hashable, Sendable {
        let name: String
        let isSnapshot: Bool
    }

    let address: RPCAddress
    let line: RPCLine
    /// From a look at the room to what is made in it.
    let making = AsyncLock()
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

    /// The stores that were there before and are missing among these.
    func missing(_ stores: Set<String>) -> Set<String> {
        state.withLock { state in
            state.stores.formUnion(stores)
            return state.stores.subtracting(stores)
        }
    }

    /// Nil when it is too old to be used. The number goes with what is counted anew.
    var promises: (bytes: [String: UInt64]?, change: Int) {
        state.withLock { state in
            guard let promises = state.promises, ContinuousClock.now - promises.at < .seconds(30) else {
                return (nil, state.changes)
            }
            return (promises.bytes, state.changes)
        }
    }

    /// What was counted, unless something changed meanwhile.
    func note(promises: [String: UInt64], change: Int) {
        state.withLock { state in
            if state.changes == change { state.promises = (promises, .now) }
        }
    }

    /// A thin volume was made or has grown.
    func promise(_ bytes: UInt64, in store: String) {
        state.withLock { state in
            state.changes += 1
            guard let old = state.promises?.bytes[store] else { return }
            state.promises?.bytes[store] = old.addingReportingOverflow(bytes).partialValue
        }
    }

    /// A volume or a snapshot came or went: they have to be counted anew.
    func forgetPromises() {
        state.withLock { state in
            state.changes += 1
            state.promises = nil
        }
    }
}
