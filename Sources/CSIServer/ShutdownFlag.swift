import Synchronization

/// Says to long work that the driver is stopping; set once, by the assembly.
package final class ShutdownFlag: Sendable {
    private let flag = Atomic(false)

    package init() {}

    package var isSet: Bool { flag.load(ordering: .acquiring) }

    package func set() { flag.store(true, ordering: .releasing) }
}
