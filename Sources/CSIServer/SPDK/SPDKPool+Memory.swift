import DeviceManager
import SPDK
import Synchronization

/// What was seen or done, and when: what was asked for before that says nothing against it.
struct Dated<Value: Sendable>: Sendable {
    let value: Value
    let at: ContinuousClock.Instant
}

extension SPDKPool {
    /// What is known of a volume besides what its target says now.
    struct Memory {
        /// The storage node that was asked to make a volume or snapshot of this name, until that was answered for.
        var attempts: [String: String] = [:]
        /// Node ids by host NQN, of nodes that something was published to.
        var hosts: [String: String] = [:]
        /// How volumes were exported when they were last seen so.
        var exports: [String: Dated<Export>] = [:]
        var limits: [String: Dated<RateLimits>] = [:]
        /// By volume, then by node.
        var publications: [String: [String: VolumeRecord.Publication]] = [:]
        /// Ids that volumes were published by, where these are not the ones that a creation answers: without the node, or in
        /// capital letters. The external-attacher looks for them in ListVolumes.
        var otherIDs: [String: Set<String>] = [:]
    }

    func knownExport(_ uuid: String) -> Export? { memory.withLock { $0.exports[uuid]?.value } }

    func knownLimits(_ uuid: String) -> RateLimits? { memory.withLock { $0.limits[uuid]?.value } }

    /// `seen`: when the target was asked, where it is only what that said.
    func remember(_ uuid: String, _ export: Export, seen: ContinuousClock.Instant = .now) {
        keep(Dated(value: export, at: seen), of: uuid, in: \.exports)
    }

    func remember(_ uuid: String, _ limits: RateLimits, seen: ContinuousClock.Instant = .now) {
        keep(Dated(value: limits, at: seen), of: uuid, in: \.limits)
    }

    private func keep<Value>(
        _ new: Dated<Value>, of uuid: String, in list: WritableKeyPath<Memory, [String: Dated<Value>]>
    ) {
        memory.withLock { memory in
            if let known = memory[keyPath: list][uuid], known.at > new.at { return }
            if memory[keyPath: list].count > 50_000 { memory[keyPath: list].removeAll() }
            memory[keyPath: list][uuid] = new
        }
    }

    /// The caller has its volume or snapshot; from now on it is known like any other.
    func answered(_ name: String) { memory.withLock { $0.attempts[name] = nil } }

    func forget(_ uuid: String) {
        memory.withLock { memory in
            memory.exports[uuid] = nil
            memory.limits[uuid] = nil
            memory.publications[uuid] = nil
            memory.otherIDs[uuid] = nil
        }
    }

    /// The host names of a node.
    func isHost(_ host: String, of node: String) -> Bool {
        host == self.host(node) || memory.withLock { $0.hosts[host] } == node
    }
}
