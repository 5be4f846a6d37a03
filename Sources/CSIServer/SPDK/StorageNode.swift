import AsyncHTTPClient
import DeviceManager
import SPDK
import Synchronization

/// What this process remembers of one storage node: memory only, and nothing that would be missed after a restart.
final class StorageNode: Sendable {
    private struct State {
        var failure: (error: SPDKError, at: ContinuousClock.Instant)?
        /// What its proxy may be held up by, in words, and since when.
        var works: [String: ContinuousClock.Instant] = [:]
        /// The names that its logical volumes had when it was last seen.
        var names: Set<ListedName> = []
        /// When the list was asked for that they are of, and what was made since.
        var listed: ContinuousClock.Instant?
        var made: [ListedName: ContinuousClock.Instant] = [:]
        /// The stores that it ever had.
        var stores: Set<String> = []
        /// Promised to thin volumes and not taken yet, by store.
        var promises: (bytes: [String: UInt64], at: ContinuousClock.Instant, cost: Duration)?
        /// How often they changed.
        var changes = 0
        /// What volumes are about to grow by.
        var growths: [String: (bytes: UInt64, store: String)] = [:]
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

    /// A node that let a call wait in vain a moment ago, or is busy: calls that can do without it do not wait for it.
    var recentFailure: SPDKError? {
        state.withLock { state in
            if let work = state.works.min(by: { $0.value < $1.value }), ContinuousClock.now - work.value > .seconds(1) {
                return SPDKError(.notSent, work.key)
            }
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
                // Its answer came past them.
                state.works = state.works.filter { $0.value >= begin }
                return
            }
            if error.isOutage, wasSlow { state.failure = (error, ContinuousClock.now) }
        }
    }

    /// While it goes on the node is busy, not dead. SPDK's proxy does one thing at a time, for all callers.
    func working<Result>(_ words: String, _ work: () async throws -> Result) async rethrows -> Result {
        state.withLock { $0.works[words] = .now }
        defer { state.withLock { $0.works[words] = nil } }
        return try await work()
    }

    /// All that there is; what was made since the list was asked for may not be in it.
    func remember(_ list: [ListedLogicalVolume], askedAt begin: ContinuousClock.Instant) {
        let names = Set(list.map { ListedName(name: $0.name, isSnapshot: $0.isSnapshot) })
        state.withLock { state in
            if let listed = state.listed, listed >= begin { return }
            state.listed = begin
            state.made = state.made.filter { $0.value > begin }
            state.names = names.union(state.made.keys)
        }
    }

    /// Some of what there is.
    func add(_ list: [ListedLogicalVolume]) {
        let names = list.map { ListedName(name: $0.name, isSnapshot: $0.isSnapshot) }
        state.withLock { $0.names.formUnion(names) }
    }

    func remember(_ volume: LogicalVolume) {
        let name = ListedName(name: volume.name, isSnapshot: volume.isSnapshot)
        state.withLock { state in
            state.names.insert(name)
            state.made[name] = .now
        }
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

    /// Nil when it is too old to be used. The number goes with what is counted anew. For whoever is about to make
    /// something it must be new: as new as it can be without the counting taking more than a tenth of the node's time.
    func promises(isSole: Bool) -> (bytes: [String: UInt64]?, change: Int) {
        state.withLock { state in
            guard let promises = state.promises,
                ContinuousClock.now - promises.at < (isSole ? min(.seconds(30), promises.cost * 10) : .seconds(30))
            else { return (nil, state.changes) }
            return (promises.bytes, state.changes)
        }
    }

    /// What was counted, unless something changed meanwhile.
    func note(promises: [String: UInt64], change: Int, since begin: ContinuousClock.Instant) {
        state.withLock { state in
            guard state.changes == change else { return }
            state.promises = (promises, .now, ContinuousClock.now - begin)
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

    /// Room that nobody else is to take until the volume has grown.
    func keepRoom(_ bytes: UInt64, in store: String, for uuid: String) {
        state.withLock { $0.growths[uuid] = bytes > 0 ? (bytes, store) : nil }
    }

    func giveRoomBack(of uuid: String) { state.withLock { $0.growths[uuid] = nil } }

    /// By store.
    func keptRoom(besides uuid: String?) -> [String: UInt64] {
        state.withLock { state in
            state.growths.filter { $0.key != uuid }.values.reduce(into: [:]) { $0[$1.store, default: 0] += $1.bytes }
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
