import Glibc
import Host
import TestSupport
import Testing

@testable import DeviceManager

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(3))) struct FileDeviceManagerTests {
    @Test("a new volume is a file of zeroes of its size", arguments: Provisioning.allCases)
    func creation(provisioning: Provisioning) async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", 5 * mebibyte - 1, provisioning)
            #expect(volume == Volume(id: driver.id("v"), size: 5 * mebibyte, location: provisioning.rawValue))
            let status = try #require(try driver.file(volume).status())
            #expect(status.size == 5 * mebibyte)
            #expect(provisioning == .thick ? status.allocated >= status.size : status.allocated == 0)
            #expect(try read(5 << 20, from: driver.file(volume).path).max() == 0)
            #expect(try await driver.manager.volume(volume.id, location: nil) == volume)
            #expect(try await driver.manager.volumes() == [volume])
            #expect(try driver.files() == ["\(volume.id)"])
        }
    }

    @Test func `parameters about namespaces are refused`() async throws {
        let manager = FileDeviceManager(directory: "/nonexistent", capacity: nil, logger: quietLogger)
        #expect(throws: DeviceError.self) {
            _ = try VolumeParameters(["nsmode": "sector"], defaults: manager.defaultParameters)
        }
    }

    @Test func `an id that has a file already is not made again`() async throws {
        try await withFileDriver { driver, _ in
            let volume = try await driver.create("v", mebibyte, .thin)
            try write([7], to: driver.file(volume).path)
            for provisioning in Provisioning.allCases {
                let code = await deviceCode { _ = try await driver.create("v", mebibyte, provisioning) }
                #expect(code == .alreadyExists)
            }
            #expect(try read(1, from: driver.file(volume).path) == [7])
            #expect(try driver.files() == ["\(volume.id)"])
        }
    }

    @Test("a location that is not ours is refused by every call", arguments: ["", "/", "..", "thick/", "../thick"])
    func locations(location: String) async throws {
        try await withFileDriver { driver, _ in
            let (manager, id) = (driver.manager, driver.id("v"))
            let spec = driver.spec("v", mebibyte)
            let calls: [() async throws -> Void] = [
                { _ = try await manager.create(spec, at: location) },
                { _ = try await manager.attach(id, location: location) },
                { _ = try await manager.device(id, location: location) },
                { _ = try await manager.volume(id, location: location) },
                { try await manager.detach(id, location: location) },
                { try await manager.discard(id, location: location, erasure: nil) },
                { try await manager.checkUnused(id, location: location) },
                { try await manager.delete(id, location: location, erasure: nil) },
            ]
            for call in calls { #expect(await deviceCode(of: call) == .failedPrecondition) }
            let files = try driver.files()
            #expect(files == [])
        }
    }

    @Test func `deletion removes file and loop device, and may come again`() async throws {
        try await withFileDriver(capacity: 8 * mebibyte) { driver, _ in
            let volume = try await driver.create("v", 8 * mebibyte)
            _ = try await driver.attach(volume)
            for _ in 0..<2 {
                try await driver.manager.delete(volume.id, location: volume.location, erasure: nil)
                #expect(try driver.files() == [])
                #expect(try loops(below: driver.directory) == [])
                #expect(try await driver.available() == 8 * mebibyte)
            }
        }
    }

    @Test func `a mounted volume is not deleted, nor one that a process has open`() async throws {
        try await withFileDriver { driver, directory in
            let volume = try await driver.create("v", 16 * mebibyte)
            let path = try await driver.mount(volume, in: directory)
            try write([1, 2, 3], to: path + "/file")
            let call = { try await driver.manager.delete(volume.id, location: volume.location, erasure: nil) }
            #expect(await deviceCode(of: call) == .inUse)
            #expect(try read(3, from: path + "/file") == [1, 2, 3])
            let device = try #require(try await driver.device(volume))
            let open = open(device, O_RDONLY | O_CLOEXEC)
            try await whileBusy { try Mounter.unmount(path) }
            #expect(await deviceCode(of: call) == .inUse)
            #expect(try await driver.device(volume) == device)
            close(open)
            try await call()
            #expect(try driver.files() == [])
        }
    }
}

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(3))) struct FileCapacityTests {
    @Test func `all sizes together stay within the capacity, thin ones too`() async throws {
        try await withFileDriver(capacity: 10 * mebibyte + 5) { driver, _ in
            #expect(try await driver.available() == 10 * mebibyte)
            let thin = try await driver.create("thin", 6 * mebibyte, .thin)
            _ = try await driver.create("thick", 3 * mebibyte)
            #expect(try await driver.available() == mebibyte)
            #expect(await deviceCode { _ = try await driver.create("more", 2 * mebibyte, .thin) } == .notEnoughSpace)
            let spec = driver.spec("more", 2 * mebibyte)
            #expect(await deviceCode { _ = try await driver.manager.create(spec, at: "thick") } == .notEnoughSpace)
            try await driver.manager.delete(thin.id, location: thin.location, erasure: nil)
            _ = try await driver.create("more", 7 * mebibyte)
            #expect(try await driver.restarted().available() == 0)
        }
    }

    @Test func `what a volume grows by is taken before its file has it, whoever looks meanwhile`() async throws {
        try await withFileDriver(capacity: 10 * mebibyte) { driver, _ in
            let volume = try await driver.create("v", mebibyte)
            let ledger = driver.manager.ledger
            try ledger.grow(volume.id, from: mebibyte, to: 9 * mebibyte)
            for _ in 0..<2 { #expect(try await driver.available() == mebibyte) }
            ledger.finish(volume.id, size: mebibyte)
            #expect(try await driver.available() == 9 * mebibyte)
        }
    }

    @Test func `of volumes that are made at once only as many succeed as there is room for`() async throws {
        try await withFileDriver(capacity: 5 * mebibyte) { driver, _ in
            let made = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<10 {
                    group.addTask { await (try? driver.create("v\(number)", mebibyte)) != nil }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(made == 5)
            let files = try driver.files()
            #expect(files.count == 5)
        }
    }

    @Test func `what thin volumes may still take is nobody else's`() async throws {
        try await withFileDriver(on: .smallExt4) { driver, _ in
            let before = try await driver.available()
            let thin = try await driver.create("thin", 40 * mebibyte, .thin)
            let after = try await driver.available()
            #expect(before - after >= 39 * mebibyte)
            try write([UInt8](repeating: 1, count: 30 << 20), to: driver.file(thin).path)
            let written = try await driver.available()
            #expect(after < written + 2 * mebibyte)
            #expect(written < after + 2 * mebibyte)
            #expect(await deviceCode { _ = try await driver.create("v", after + 8 * mebibyte) } == .notEnoughSpace)
            // What was promised is there.
            try write([UInt8](repeating: 2, count: 40 << 20), to: driver.file(thin).path)
        }
    }

    @Test func `the largest volume that is promised can be made`() async throws {
        try await withFileDriver(on: .smallExt4) { driver, _ in
            let largest = try await driver.manager.capacity(for: driver.manager.defaultParameters).maximumVolumeSize
            #expect(largest > 40 * mebibyte)
            _ = try await driver.create("v", largest)
            #expect(try await driver.available() < 2 * mebibyte)
        }
    }

    @Test func `space that cannot be set aside leaves no file and no missing space`() async throws {
        try await withFileDriver(on: .smallExt4) { driver, _ in
            let before = try await driver.available()
            let file = BackingFile(path: driver.directory + "/thick/x")
            #expect(await code { try file.create(size: 200 * mebibyte, allocated: true) } == .noSpace)
            #expect(await code { try file.create(size: .max, allocated: true) } == .noSpace)
            #expect(await deviceCode { _ = try await driver.create("v", .max / 2) } == .notEnoughSpace)
            #expect(try driver.files() == [])
            #expect(try await driver.available() == before)
        }
    }
}
