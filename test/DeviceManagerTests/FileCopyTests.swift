import DeviceManager
import Glibc
import Host
import Synchronization
import TestSupport
import Testing

private let grounds = [Ground.here, .xfsWithReflinks]

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(5))) struct FileCopyTests {
    @Test(
        "a copy has the content of its source, zeroes behind it, and a life of its own", arguments: grounds,
        Provisioning.allCases)
    func content(ground: Ground, provisioning: Provisioning) async throws {
        try await withFileDriver(on: ground) { driver, _ in
            let source = try await driver.create("source", 12 * mebibyte, provisioning)
            let path = try await driver.attach(source)
            let bytes = pattern(3 << 20)
            // Through the device, whose page cache has the newest.
            let device = open(path, O_WRONLY | O_CLOEXEC)
            #expect(pwrite(device, bytes, bytes.count, 5 << 20) == bytes.count)
            if ground == .here {
                // Blocks are copied one after the other, so nobody may write meanwhile.
                #expect(await deviceCode { _ = try await driver.copy(source, to: "copy") } == .inUse)
                close(device)
            }
            let reached = Mutex<UInt64>(0)
            let copy = try await driver.copy(source, to: "copy", size: 16 * mebibyte) { done in
                reached.withLock { $0 = max($0, done) }
                return true
            }
            if ground != .here { close(device) }
            #expect(copy == Volume(id: driver.id("copy"), size: 16 * mebibyte, location: provisioning.rawValue))
            #expect(provisioning == .thin && ground != .here || reached.withLock { $0 } >= 12 * mebibyte)
            let file = driver.file(copy)
            let status = try #require(try file.status())
            if provisioning == .thick {
                #expect(try file.exclusiveBytes() >= 16 * mebibyte)
            } else {
                #expect(status.allocated < 4 * mebibyte)
            }
            try await driver.manager.delete(source.id, location: source.location, erasure: nil)
            let copied = try read(16 << 20, from: file.path)
            #expect(copied[(5 << 20)..<(8 << 20)].elementsEqual(bytes))
            #expect(copied[..<(5 << 20)].max() == 0 && copied[(8 << 20)...].max() == 0)
        }
    }

    @Test func `a thick copy without room for all of it leaves nothing`() async throws {
        try await withFileDriver(on: .xfsWithReflinks) { driver, _ in
            let source = try await driver.create("source", 300 * mebibyte)
            let before = try await driver.available()
            let spec = driver.spec("copy", 300 * mebibyte)
            let copy = CopySource(volume: source, parameters: spec.parameters, use: .none)
            let code = await deviceCode { _ = try await driver.manager.copy(copy, to: spec, at: "thick") { _ in true } }
            #expect(code == .notEnoughSpace)
            #expect(try driver.files() == ["\(source.id)"])
            #expect(try await driver.available() == before)
        }
    }

    @Test func `blocks that thin volumes share count for each of them`() async throws {
        try await withFileDriver(on: .xfsWithReflinks) { driver, _ in
            let source = try await driver.create("source", 100 * mebibyte, .thin)
            try write([UInt8](repeating: 1, count: 80 << 20), to: driver.file(source).path)
            let before = try await driver.available()
            _ = try await driver.copy(source, to: "copy")
            #expect(try await driver.available() <= before - 100 * mebibyte)
        }
    }

    @Test("a copy that is told to stop leaves nothing", arguments: grounds)
    func stopped(ground: Ground) async throws {
        // Where others use the file system too, its free space says nothing.
        try await withFileDriver(on: ground, capacity: ground == .here ? 200 * mebibyte : nil) { driver, _ in
            let source = try await driver.create("source", 80 * mebibyte)
            try write([UInt8](repeating: 9, count: 80 << 20), to: driver.file(source).path)
            let before = try await driver.available()
            let code = await deviceCode { _ = try await driver.copy(source, to: "copy") { $0 < 10 * mebibyte } }
            #expect(code == .aborted)
            #expect(try driver.files() == ["\(source.id)"])
            #expect(try await driver.available() >= before - 2 * mebibyte)
        }
    }

    @Test("a raw device in use is copied only where that takes no time", arguments: grounds)
    func raw(ground: Ground) async throws {
        try await withFileDriver(on: ground) { driver, _ in
            let source = try await driver.create("source", 2 * mebibyte)
            let code = await deviceCode { _ = try await driver.copy(source, to: "copy", use: .raw) }
            #expect(code == (ground == .here ? .failedPrecondition : nil))
            #expect(try driver.files().count == (ground == .here ? 1 : 2))
        }
    }
}

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(5))) struct FileFrozenCopyTests {
    @Test("a copy of a mounted file system under a writer is whole", arguments: grounds)
    func consistent(ground: Ground) async throws {
        try await withFileDriver(on: ground) { driver, directory in
            let source = try await driver.create("source", 96 * mebibyte)
            let mount = try await driver.mount(source, in: directory)
            let writer = Writer()
            let announced = Mutex(0)
            let (copy, written) = try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { try await blocking { try writer.run(in: mount) } }
                let freeze = Freeze(mountPoint: mount, limit: .seconds(60)) { _ in announced.withLock { $0 += 1 } }
                let copy = try await driver.copy(source, to: "copy", use: .mounted(freeze))
                writer.stop()
                return (copy, try await group.next() ?? 0)
            }
            #expect(written > 0)
            #expect(announced.withLock { $0 } == 1)
            let device = try await driver.attach(copy)
            #expect(try run("/usr/sbin/e2fsck", ["-f", "-n", device]) == 0)
            let second = try mountPoint(device, in: directory, readOnly: true)
            try check(run("/usr/bin/cat", [second + "/file-1"]) <= 1, "read the copy")
            try write([1], to: mount + "/after")
        }
    }

    @Test("a copy that takes longer than writers may wait is refused and leaves nothing", arguments: [16, 100])
    func tooSlow(size: UInt64) async throws {
        try await withFileDriver { driver, directory in
            let source = try await driver.create("source", size * mebibyte)
            let mount = try await driver.mount(source, in: directory)
            let freeze = Freeze(mountPoint: mount, limit: .zero) { _ in }
            let before = try await driver.available()
            let code = await deviceCode {
                _ = try await driver.copy(source, to: "copy", use: .mounted(freeze))
            }
            #expect(code == .failedPrecondition)
            #expect(try driver.files() == ["\(source.id)"])
            #expect(try await driver.available() + 64 * mebibyte > before)
            // It would wait for ever if it were still frozen.
            try write([1], to: mount + "/after")
        }
    }
}

/// Writes and removes files until it is told to stop.
private final class Writer: Sendable {
    private let isOver = Atomic(false)

    func stop() { isOver.store(true, ordering: .relaxed) }

    /// Returns how many files it wrote.
    func run(in directory: String) throws -> Int {
        var count = 0
        while !isOver.load(ordering: .relaxed) {
            try write(pattern(1 << 16), to: "\(directory)/file-\(count % 64)")
            if count % 3 == 2 { unlink("\(directory)/file-\((count - 2) % 64)") }
            count += 1
        }
        return count
    }
}

/// Without zeroes, and different everywhere.
private func pattern(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    var bytes: [UInt8] = []
    while bytes.count < count {
        withUnsafeBytes(of: generator.next() | 0x0101_0101_0101_0101) { bytes += $0 }
    }
    return bytes
}
