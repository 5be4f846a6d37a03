import DeviceManager
import Glibc
import Host
import TestSupport
import Testing

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(3))) struct FileLoopTests {
    @Test("an attached volume is one block device, until it is detached", arguments: Provisioning.allCases)
    func attach(provisioning: Provisioning) async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", 3 * mebibyte, provisioning)
            #expect(try await driver.device(volume) == nil)
            let path = try await driver.attach(volume)
            #expect(try await driver.attach(volume) == path)
            #expect(try await driver.device(volume) == path)
            #expect(try BlockDevice(path: path).size() == volume.size)
            #expect(try loops(below: driver.directory) == [path])
            try write([1, 2, 3], to: path, at: mebibyte)
            for _ in 0..<2 {
                try await driver.manager.detach(volume.id, location: volume.location)
                #expect(try await driver.device(volume) == nil)
            }
            #expect(try read(3, from: driver.file(volume).path, at: mebibyte) == [1, 2, 3])
        }
    }

    @Test("a file tells whether anything has it open, a loop device included")
    func openFiles() async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", mebibyte)
            let file = BackingFile(path: driver.file(volume).path)
            #expect(try !file.mayBeOpen())
            let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
            #expect(try file.mayBeOpen())
            close(descriptor)
            #expect(try !file.mayBeOpen())
            _ = try await driver.attach(volume)
            #expect(try file.mayBeOpen())
            try await driver.manager.detach(volume.id, location: volume.location)
            #expect(try !file.mayBeOpen())
        }
    }

    @Test func `direct I O is used where the file system has it`() async throws {
        try await withFileDriver(on: .smallExt4) { driver, _ in
            let path = try await driver.attach(driver.create("v", mebibyte))
            #expect(try sysfs(path, "loop/dio") == "1")
            #expect(try sysfs(path, "loop/autoclear") == "0")
        }
    }

    @Test func `twenty volumes attached at once have a device each`() async throws {
        try await withFileDriver { driver, _ in
            let paths = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let volume = try await driver.create("v\(number)", mebibyte, .thin)
                        try write([UInt8(number)], to: driver.file(volume).path)
                        let path = try await driver.attach(volume)
                        #expect(try read(1, from: path) == [UInt8(number)])
                        return path
                    }
                }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(paths.count == 20)
        }
    }

    @Test func `a mounted volume stays attached until it is unmounted`() async throws {
        try await withFileDriver { driver, directory in
            let volume = try await driver.create("v", 16 * mebibyte)
            let mount = try await driver.mount(volume, in: directory)
            let path = try await driver.device(volume)
            try await driver.manager.detach(volume.id, location: volume.location)
            #expect(try await driver.device(volume) == path)
            #expect(path.map { try? sysfs($0, "loop/autoclear") } == "1")
            try await whileBusy { try Mounter.unmount(mount) }
            while try await driver.device(volume) != nil { await Task.yield() }
        }
    }

    @Test func `a device that is open is detached with the last close, unless it is attached again`() async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", mebibyte)
            let path = try await driver.attach(volume)
            let file = open(path, O_RDONLY | O_CLOEXEC)
            try await driver.manager.detach(volume.id, location: volume.location)
            #expect(try await driver.attach(volume) == path)
            close(file)
            #expect(try await driver.device(volume) == path)
            let again = open(path, O_RDONLY | O_CLOEXEC)
            try await driver.manager.detach(volume.id, location: volume.location)
            close(again)
            // A child that another test just forked may hold it for a moment.
            while try await driver.device(volume) != nil { await Task.yield() }
        }
    }

    @Test func `a thick volume gets back the space that it gave up`() async throws {
        try await withFileDriver(on: .smallExt4) { driver, _ in
            let volume = try await driver.create("v", 8 * mebibyte)
            let before = try await driver.available()
            try check(run("/usr/bin/fallocate", ["-p", "-l", "4MiB", driver.file(volume).path]) == 0, "fallocate")
            #expect(try driver.file(volume).status()?.allocated ?? 0 < 5 * mebibyte)
            #expect(try await driver.available() < before + 2 * mebibyte)
            _ = try await driver.attach(volume)
            #expect(try driver.file(volume).status()?.allocated ?? 0 >= 8 * mebibyte)
        }
    }
}

private func sysfs(_ device: String, _ name: String) throws -> String {
    let path = "/sys/block/\(device.split(separator: "/").last ?? "")/\(name)"
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw HostError(.failed, "open \(path)", errno: errno) }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = Glibc.read(file, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self).filter { !$0.isNewline }
}
