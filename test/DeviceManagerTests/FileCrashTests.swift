import DeviceManager
import Glibc
import Host
import TestSupport
import Testing

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(3))) struct FileCrashTests {
    @Test func `a start removes what a creation left, and nothing else`() async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", mebibyte)
            for place in ["thick", "thin"] { try write([1], to: "\(driver.directory)/\(place)/\(driver.id("w")).new") }
            try write([1], to: driver.directory + "/thick/foreign")
            let next = try await driver.restarted()
            #expect(try next.files().sorted() == ["foreign", "\(volume.id)"].sorted())
            #expect(try await next.manager.volumes() == [volume])
        }
    }

    @Test func `a start detaches what nothing uses`() async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", mebibyte)
            _ = try await driver.attach(volume)
            let next = try await driver.restarted()
            // A child that another test just forked may hold the device for a moment, and then it stays.
            while try await next.device(volume) != nil { _ = try await driver.restarted() }
            #expect(try loops(below: driver.directory) == [])
            _ = try await next.attach(volume)
        }
    }

    @Test func `what is mounted stays attached and is found again`() async throws {
        try await withFileDriver { driver, directory in
            let volume = try await driver.create("v", 16 * mebibyte)
            let mount = try await driver.mount(volume, in: directory)
            let path = try await driver.device(volume)
            let next = try await driver.restarted()
            #expect(try await next.device(volume) == path)
            #expect(try await next.attach(volume) == path)
            try write([1, 2, 3], to: mount + "/file")
            #expect(try loops(below: driver.directory).count == 1)
        }
    }

    @Test func `a raw block volume that is bound somewhere stays attached`() async throws {
        try await withFileDriver { driver, directory in
            let volume = try await driver.create("v", mebibyte)
            let path = try await driver.attach(volume)
            try Mounter.createMountPoint(file: directory + "/raw")
            try Mounter.bind(from: path, to: directory + "/raw", readOnly: false)
            #expect(try await driver.restarted().device(volume) == path)
            let delete = { try await driver.manager.delete(volume.id, location: volume.location, erasure: nil) }
            #expect(await deviceCode(of: delete) == .inUse)
            try await whileBusy { try Mounter.unmount(directory + "/raw") }
            try await delete()
        }
    }

    @Test func `a start detaches the device of a file that was removed`() async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", mebibyte)
            _ = try await driver.attach(volume)
            try driver.file(volume).remove()
            #expect(try loops(below: driver.directory).count == 1)
            while try !loops(below: driver.directory).isEmpty { _ = try await driver.restarted() }
        }
    }

    @Test func `a creation that failed after its file was there can be taken back`() async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", mebibyte)
            for _ in 0..<2 { try await driver.manager.discard(volume.id, location: volume.location, erasure: nil) }
            #expect(try driver.files() == [])
        }
    }
}

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(3))) struct FileExpansionTests {
    @Test("a mounted volume grows, and keeps its data", arguments: Provisioning.allCases)
    func online(provisioning: Provisioning) async throws {
        try await withFileDriver { driver, directory in
            let volume = try await driver.create("v", 16 * mebibyte, provisioning)
            let mount = try await driver.mount(volume, in: directory)
            try write([1, 2, 3], to: mount + "/file")
            let grown = try await driver.expand(volume, to: 24 * mebibyte - 1)
            #expect(grown.size == 24 * mebibyte)
            #expect(try await BlockDevice(path: driver.attach(volume)).size() == 24 * mebibyte)
            let allocated = try #require(try driver.file(volume).status()).allocated
            // Of a mounted ext4 the kernel gives back inode tables that it has not initialised yet, less than 1 MiB.
            #expect(provisioning == .thick ? allocated >= 23 * mebibyte : allocated < 16 * mebibyte)
            #expect(try read(8 << 20, from: driver.file(volume).path, at: 16 * mebibyte).max() == 0)
            #expect(try read(3, from: mount + "/file") == [1, 2, 3])
            #expect(try await driver.expand(volume, to: mebibyte).size == 24 * mebibyte)
        }
    }

    @Test func `an expansion without room changes nothing`() async throws {
        try await withFileDriver(on: .smallExt4) { driver, _ in
            let volume = try await driver.create("v", 8 * mebibyte)
            let before = try await driver.available()
            #expect(await deviceCode { _ = try await driver.expand(volume, to: 500 * mebibyte) } == .notEnoughSpace)
            let file = driver.file(volume)
            #expect(
                await code {
                    try file.grow(from: 8 * mebibyte, to: 500 * mebibyte, allocated: true)
                } == .noSpace)
            #expect(try file.status()?.size == 8 * mebibyte)
            #expect(try file.status()?.allocated ?? 0 < 9 * mebibyte)
            #expect(try await driver.available() == before)
        }
    }

    @Test("an expansion that was cut off is finished or taken back", arguments: Ground.allCases)
    func cutOff(ground: Ground) async throws {
        try await withFileDriver(on: ground) { driver, _ in
            let volume = try await driver.create("v", 4 * mebibyte)
            let path = try await driver.attach(volume)
            let file = driver.file(volume)
            // Space was set aside, and then it ended.
            try check(run("/usr/bin/fallocate", ["-n", "-o", "4MiB", "-l", "4MiB", file.path]) == 0, "fallocate")
            #expect(try file.status()?.allocated ?? 0 >= 8 * mebibyte)
            #expect(try await driver.expand(volume, to: 4 * mebibyte).size == 4 * mebibyte)
            #expect(try file.status()?.allocated ?? 0 < 5 * mebibyte)
            // The file had its new size, and the device not yet.
            try file.grow(from: 4 * mebibyte, to: 8 * mebibyte, allocated: true)
            #expect(try BlockDevice(path: path).size() == 4 * mebibyte)
            #expect(try await driver.expand(volume, to: 8 * mebibyte).size == 8 * mebibyte)
            #expect(try BlockDevice(path: path).size() == 8 * mebibyte)
        }
    }
}

extension FileDriver {
    fileprivate func expand(_ volume: Volume, to size: UInt64) async throws(DeviceError) -> Volume {
        try await manager.expand(
            volume.id, location: volume.location, to: SizeRange(required: size), from: volume.size, isRaw: false)
    }
}
