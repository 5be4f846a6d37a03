import Synchronization

/// Work done one piece at a time, in the order of arrival. `LVM` owns the process's only one, because concurrent lvm
/// commands collide; an actor would not do, since it lets the next caller in wherever the first one awaits.
final class SerialLine: Sendable {
    private let last = Mutex<Task<Void, Never>?>(nil)

    /// Runs `work` after all that came before. It runs to its end even when the caller is cancelled.
    func perform<T: Sendable>(_ work: @escaping @Sendable () async -> T) async -> T {
        let task = last.withLock { last in
            let previous = last
            let task = Task {
                await previous?.value
                return await work()
            }
            last = Task { _ = await task.value }
            return task
        }
        return await task.value
    }
}
