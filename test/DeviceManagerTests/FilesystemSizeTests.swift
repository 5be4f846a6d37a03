import Glibc
import Host
import TestSupport
import Testing

private let mib: UInt64 = 1 << 20

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(5))) struct FilesystemSizeTests {
    @Test(
        "a new file system says that it has the whole device",
        arguments: [(.ext4, 16 * mib), (.ext4, 5000 * mib), (.xfs, 300 * mib), (.xfs, 5000 * mib)]
            as [(FilesystemType, UInt64)])
    func size(type: FilesystemType, size: UInt64) async throws {
        try await LoopDevice.with(size: size) { path in
            let device = BlockDevice(path: path)
            try await Filesystem.make(type, on: device)
            #expect(try Filesystem.size(of: type, on: device) == size)
        }
    }

    @Test("what is no such file system has no size", arguments: FilesystemType.allCases)
    func none(type: FilesystemType) async throws {
        try await LoopDevice.with(size: mib) { path in
            let device = BlockDevice(path: path)
            #expect(await code { _ = try Filesystem.size(of: type, on: device) } == .failed)
            try write([UInt8](repeating: 0xff, count: 4096), to: path)
            #expect(await code { _ = try Filesystem.size(of: type, on: device) } == .failed)
        }
    }

    @Test(
        "a mounted file system grows to its device, once, and keeps its files",
        arguments: ([(.ext4, 16 * mib), (.xfs, 300 * mib)] as [(FilesystemType, UInt64)])
            .filter { Filesystem.canGrowMounted($0.0) })
    func grow(type: FilesystemType, size: UInt64) async throws {
        try await withGrown(type, from: size, to: 2 * size) { device, mount in
            try write([1, 2, 3], to: mount + "/file")
            let before = try Filesystem.usage(at: mount)
            #expect(try Filesystem.grow(type, on: device, mountedAt: mount))
            #expect(try !Filesystem.grow(type, on: device, mountedAt: mount))
            let after = try Filesystem.usage(at: mount)
            #expect(after.bytes.total > before.bytes.total + size * 9 / 10)
            #expect(after.bytes.available > before.bytes.available + size * 9 / 10)
            #expect(try read(3, from: mount + "/file") == [1, 2, 3])
            try await whileBusy { try Mounter.unmount(mount) }
            #expect(try Filesystem.size(of: type, on: device) == 2 * size)
        }
    }

    @Test(
        "one that is mounted read-only cannot grow",
        arguments: FilesystemType.allCases.filter(Filesystem.canGrowMounted))
    func readOnly(type: FilesystemType) async throws {
        try await withGrown(type, from: 300 * mib, to: 400 * mib, readOnly: true) { device, mount in
            let error = #expect(throws: HostError.self) {
                try Filesystem.grow(type, on: device, mountedAt: mount)
            }
            #expect(error?.message.contains("read-only") == true)
        }
    }

    @Test func `an ext4 that nobody has mounted grows as well, once, and keeps its files`() async throws {
        try await withGrown(.ext4, from: 16 * mib, to: 32 * mib) { device, mount in
            try write([1, 2, 3], to: mount + "/file")
            #expect(await code { try await Filesystem.growUnmountedExt4(on: device) } == .busy)
            try await whileBusy { try Mounter.unmount(mount) }
            for _ in 0..<2 {
                try await Filesystem.growUnmountedExt4(on: device)
                #expect(try Filesystem.size(of: .ext4, on: device) == 32 * mib)
            }
            try Mounter.mount(device: device.path, at: mount, type: .ext4, options: [], readOnly: false)
            #expect(try read(3, from: mount + "/file") == [1, 2, 3])
        }
    }

    @Test func `usage counts bytes and inodes`() async throws {
        try await withGrown(.ext4, from: 16 * mib, to: 16 * mib) { _, mount in
            let before = try Filesystem.usage(at: mount)
            try write([UInt8](repeating: 1, count: 1 << 20), to: mount + "/file")
            let after = try Filesystem.usage(at: mount)
            #expect(after.bytes.used == before.bytes.used + 1 << 20)
            #expect(after.inodes.used == before.inodes.used + 1)
            #expect(after.inodes.total == before.inodes.total)
            #expect(after.bytes.available == before.bytes.available - 1 << 20)
        }
        #expect(await code { _ = try Filesystem.usage(at: "/nonexistent") } == .notFound)
    }

    /// A file system of the size `from`, mounted, on a device of the size `to`.
    private func withGrown(
        _ type: FilesystemType, from: UInt64, to: UInt64, readOnly: Bool = false,
        _ body: (BlockDevice, String) async throws -> Void
    ) async throws {
        try await withDirectory { directory in
            let file = directory + "/image"
            try #require(close(creat(file, 0o600)) == 0 && truncate(file, off_t(from)) == 0)
            try format(file, as: type)
            #expect(truncate(file, off_t(to)) == 0)
            try await LoopDevice.with(size: to) { path in
                try copy(file, to: path)
                let mount = directory + "/mount"
                try Mounter.createMountPoint(directory: mount)
                try Mounter.mount(device: path, at: mount, type: type, options: [], readOnly: readOnly)
                try await body(BlockDevice(path: path), mount)
                try await whileBusy { try Mounter.unmountAll(mount) }
            }
        }
    }

    private func format(_ file: String, as type: FilesystemType) throws {
        let program = type == .xfs ? "mkfs.xfs -q -m reflink=0" : "mkfs.ext4 -q -F -b 4096"
        let process = popen("\(program) \(file) 2>&1", "r")
        try #require(process != nil && pclose(process) == 0)
    }

    private func copy(_ file: String, to device: String) throws {
        let process = popen("dd if=\(file) of=\(device) bs=1M conv=sparse,fsync status=none", "r")
        try #require(process != nil && pclose(process) == 0)
    }
}
