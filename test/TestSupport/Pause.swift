/// A place where one task stops until the test lets it go on; made by the test, passed once.
package final class Pause: Sendable {
    private let reached: AsyncStream<Void>
    private let reachedEnd: AsyncStream<Void>.Continuation
    private let released: AsyncStream<Void>
    private let releasedEnd: AsyncStream<Void>.Continuation

    package init() {
        (reached, reachedEnd) = AsyncStream.makeStream()
        (released, releasedEnd) = AsyncStream.makeStream()
    }

    package func waitUntilReached() async {
        for await _ in reached {}
    }

    package func release() { releasedEnd.finish() }

    /// For the code that is paused.
    package func pass() async {
        reachedEnd.finish()
        for await _ in released {}
    }
}
