import NIOPosix

/// Which threads a blocking call runs on: erasing a device takes minutes, and must not hold up mounting another.
package enum BlockingLane: Sendable {
    case short
    case long
    /// Of its own: a copy holds its source up for other calls, so it does not wait for erasures.
    case copying
    /// Storage on other machines: one that does not answer holds up nothing but its own volumes.
    case remote

    fileprivate var pool: NIOThreadPool {
        switch self {
        case .short: Pools.short
        case .long: Pools.long
        case .copying: Pools.copying
        case .remote: Pools.remote
        }
    }
}

/// The process's threads for blocking calls. NIO's singleton has one thread per core, which two stuck devices use up.
private enum Pools {
    static let short = started(threads: 8)
    static let long = started(threads: 2)
    static let copying = started(threads: 4)
    static let remote = started(threads: 64)

    private static func started(threads: Int) -> NIOThreadPool {
        let pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
        return pool
    }
}

/// Runs a call that blocks its thread away from the threads that run Swift tasks; throws what the body throws.
///
/// It runs even when the caller is cancelled: a step that a record announced is not skipped for that.
package func blocking<T: Sendable>(
    on lane: BlockingLane = .short, _ body: @escaping @Sendable () throws -> T
) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        lane.pool.submit { _ in continuation.resume(with: Result(catching: body)) }
    }
}
