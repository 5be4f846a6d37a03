import DeviceManager
import TestSupport
import Testing

/// Who is inside the lock and who was.
private actor Visitors {
    private(set) var now = 0
    private(set) var most = 0
    private(set) var all: [Int] = []

    func enter(_ number: Int) {
        now += 1
        most = max(most, now)
        all.append(number)
    }

    func leave() { now -= 1 }
}

private struct Failure: Error {}

@Suite(.timeLimit(.minutes(5))) struct AsyncLockTests {
    @Test("one task at a time is inside, and all get in")
    func exclusive() async {
        let (lock, visitors) = (AsyncLock(), Visitors())
        await withTaskGroup(of: Void.self) { tasks in
            for number in 0..<100 {
                tasks.addTask {
                    await lock.withLock {
                        await visitors.enter(number)
                        await Task.yield()
                        await visitors.leave()
                    }
                }
            }
        }
        #expect(await visitors.most == 1)
        #expect(await Set(visitors.all) == Set(0..<100))
        #expect(!lock.isHeld)
    }

    @Test("while one holds it another waits, and it is free after an error")
    func order() async {
        let (lock, visitors, pause) = (AsyncLock(), Visitors(), Pause())
        let first = Task {
            await lock.withLock {
                await visitors.enter(1)
                await pause.pass()
            }
        }
        await pause.waitUntilReached()
        #expect(lock.isHeld)
        let second = Task {
            try await lock.withLock { () throws(Failure) in
                await visitors.enter(2)
                throw Failure()
            }
        }
        #expect(await visitors.all == [1])
        pause.release()
        await first.value
        await #expect(throws: Failure.self) { try await second.value }
        #expect(await visitors.all == [1, 2])
        #expect(!lock.isHeld)
    }
}
