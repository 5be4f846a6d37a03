import Synchronization

/// What takes long in this process just now: erasures and copies, each with the bytes done and left.
///
/// `LocalPool` owns it and reports to it; the Progress service shows it to callers who wait. It is memory only: what a
/// restart needs is in the records.
package final class WorkBoard: Sendable {
    /// One erasure or copy that is under way.
    package struct Work: Sendable, Equatable {
        package enum Kind: String, Sendable {
            case erase, copy
        }

        /// Of the volume or snapshot that is erased or made.
        package let id: String
        /// The CSI name; empty where it is not known.
        package let name: String
        package let kind: Kind
        package let total: UInt64
        package fileprivate(set) var done: UInt64 = 0
    }

    /// The entry of one work, held by whoever does it; the work leaves the board with `end`, or with the entry itself.
    package final class Entry: Sendable {
        private let board: WorkBoard
        private let key: UInt64

        fileprivate init(board: WorkBoard, key: UInt64) {
            self.board = board
            self.key = key
        }

        deinit {
            end()
        }

        package func update(_ done: UInt64) {
            board.change(key) { work in
                guard let total = work?.total else { return }
                work?.done = min(done, total)
            }
        }

        package func end() {
            board.change(key) { $0 = nil }
        }
    }

    private let state = Mutex<(works: [UInt64: Work], next: UInt64)>(([:], 0))

    package init() {}

    package func begin(id: String, name: String, kind: Work.Kind, total: UInt64) -> Entry {
        let key = state.withLock { state in
            defer { state.next += 1 }
            state.works[state.next] = Work(id: id, name: name, kind: kind, total: total)
            return state.next
        }
        return Entry(board: self, key: key)
    }

    /// In the order in which they began.
    package var all: [Work] {
        state.withLock { state in state.works.sorted { $0.key < $1.key }.map(\.value) }
    }

    private func change(_ key: UInt64, _ body: (inout Work?) -> Void) {
        state.withLock { body(&$0.works[key]) }
    }
}
