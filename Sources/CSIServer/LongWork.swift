import DeviceManager
import Logging
import Synchronization

/// One erasure or copy of the pool: the board sees each step of it, the log one every two seconds.
///
/// Made by the call that does the work, which also ends it.
final class LongWork: Sendable {
    private static let interval = Duration.seconds(2)

    private let text: String
    private let title: String
    private let total: UInt64
    private let entry: WorkBoard.Entry
    private let logger: Logger
    private let logged = Mutex(ContinuousClock.now)

    init(_ kind: WorkBoard.Work.Kind, _ record: VolumeRecord, total: UInt64, in pool: LocalPool) {
        text = kind == .erase ? "erasing" : "copying"
        title = record.id
        self.total = total
        entry = pool.board.begin(id: record.id, name: record.name, kind: kind, total: total)
        logger = pool.logger
    }

    /// Whether two seconds have passed since that was last the case.
    func update(_ done: UInt64) -> Bool {
        entry.update(done)
        let isDue = logged.withLock { logged in
            guard ContinuousClock.now - logged >= Self.interval else { return false }
            logged = .now
            return true
        }
        guard isDue else { return false }
        logger.info(
            "\(text)", metadata: ["volume": "\(title)", "done": "\(done)", "left": "\(total - min(done, total))"])
        return true
    }

    func end() { entry.end() }
}
