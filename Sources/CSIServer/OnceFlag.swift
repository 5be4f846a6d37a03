import Synchronization

/// Something that happens once and then has happened, told from one task to others: the driver is stopping, an erasure
/// has begun to overwrite.
package final class OnceFlag: Sendable {
    private let flag: Atomic<Bool>

    package init(_ isSet: Bool = false) { flag = Atomic(isSet) }

    package var isSet: Bool { flag.load(ordering: .acquiring) }

    package func set() { flag.store(true, ordering: .releasing) }
}
