import Glibc
import Synchronization

/// Appends numbers to a file and syncs each, as fast as it can, until it is stopped.
///
/// Whoever starts it must stop it; that checks that nothing failed and that all numbers are there.
final class Writer: Sendable {
    private struct State {
        var count: UInt64 = 0
        var longest: Int64 = 0
        var failure: String?
        var isStopped = false
    }

    private let path: String
    private let state = Mutex(State())

    private init(_ path: String) { self.path = path }

    static func start(at path: String) async throws -> Writer {
        let writer = Writer(path)
        let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw Kernel.failure("create", path) }
        Task.detached {
            while writer.step(file) { await Task.yield() }
            close(file)
        }
        try await writer.moves()
        return writer
    }

    /// Returns when it has written more than now: it is not held up.
    func moves() async throws {
        let before = state.withLock(\.count)
        try await eventually("the writer goes on", within: .seconds(30)) { state.withLock { $0.count > before + 2 } }
    }

    /// How many numbers it wrote, and for how many milliseconds one had to wait at most.
    func stop() async throws -> (count: UInt64, longest: Int64) {
        let end = state.withLock { state in
            state.isStopped = true
            return (state.count, state.longest, state.failure)
        }
        if let failure = end.2 { throw Failure("the writer failed: \(failure)") }
        let numbers = try Kernel.read(path).split(separator: "\n")
        try check(numbers.count >= Int(end.0), "\(numbers.count) of \(end.0) numbers are in the file")
        for (index, number) in numbers.enumerated() where String(index) != number {
            throw Failure("number \(index) in the file is \(number)")
        }
        return (end.0, end.1)
    }

    private func step(_ file: Int32) -> Bool {
        let (count, isStopped) = state.withLock { ($0.count, $0.isStopped || $0.failure != nil) }
        guard !isStopped else { return false }
        let start = ContinuousClock.now
        let text = "\(count)\n"
        let isWritten = text.withCString { Glibc.write(file, $0, strlen($0)) } == text.utf8.count && fsync(file) == 0
        let failure = isWritten ? nil : String(cString: strerror(errno))
        state.withLock { state in
            state.count += 1
            state.longest = max(state.longest, milliseconds(since: start))
            state.failure = failure
        }
        return isWritten
    }
}
