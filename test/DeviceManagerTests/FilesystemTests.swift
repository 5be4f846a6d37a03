import Glibc
import Host
import TestSupport
import Testing

private let mib: UInt64 = 1 << 20

@Suite struct FilesystemTypeTests {
    @Test("supported file systems are known by name", arguments: FilesystemType.allCases)
    func known(type: FilesystemType) throws {
        #expect(try FilesystemType(name: type.rawValue) == type)
    }

    @Test("others are refused with the names of the supported ones", arguments: ["", "ext3", "EXT4", "btrfs"])
    func unknown(name: String) {
        let error = #expect(throws: HostError.self) { try FilesystemType(name: name) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message == "file system \"\(name)\" is not supported; supported are ext4, xfs")
    }
}

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(2))) struct FilesystemTests {
    @Test(
        "a made file system is recognised, and mounts with blocks of 4 KiB",
        arguments: [
            (.ext4, 4 * mib), (.ext4, 100 * mib + 4096), (.ext4, 2048 * mib), (.xfs, 300 * mib), (.xfs, 512 * mib),
            (.xfs, 1024 * mib), (.xfs, 3000 * mib),
        ] as [(FilesystemType, UInt64)])
    func make(type: FilesystemType, size: UInt64) async throws {
        try await LoopDevice.with(size: size) { path in
            let device = BlockDevice(path: path)
            #expect(try Filesystem.probe(device) == .nothing)
            try await Filesystem.make(type, on: device)
            #expect(try Filesystem.probe(device) == .filesystem(type.rawValue))
            try await withDirectory { directory in
                let mount = directory + "/mount"
                try Mounter.createMountPoint(directory: mount)
                try Mounter.mount(device: path, at: mount, type: type, options: [], readOnly: false)
                var status = statvfs()
                #expect(statvfs(mount, &status) == 0)
                #expect(status.f_bsize == 4096)
                #expect(Double(status.f_bavail) >= Double(status.f_bfree) * 0.97)
            }
        }
    }

    @Test func `making replaces what was there`() async throws {
        try await LoopDevice.with(size: 320 * mib) { path in
            let device = BlockDevice(path: path)
            try await Filesystem.make(.xfs, on: device)
            try await Filesystem.make(.ext4, on: device)
            #expect(try Filesystem.probe(device) == .filesystem("ext4"))
        }
    }

    @Test func `a failure of mkfs says what the program said`() async throws {
        try await LoopDevice.with(size: 200 * mib) { path in
            let error = await #expect(throws: HostError.self) {
                try await Filesystem.make(.xfs, on: BlockDevice(path: path))
            }
            #expect(error?.code == .failed)
            #expect(error?.message.hasPrefix("mkfs.xfs on \(path) ended with exited(1): ") == true)
            #expect(error?.message.contains("must be larger than 300MB") == true)
            #expect(error?.message.contains("Usage") == false)
        }
    }

    @Test func `a program that takes too long is stopped`() async throws {
        try await LoopDevice.with(size: 320 * mib) { path in
            let error = await #expect(throws: HostError.self) {
                try await Filesystem.make(.ext4, on: BlockDevice(path: path), timeout: .zero)
            }
            #expect(error?.message == "mkfs.ext4 took longer than 0.0 seconds and was stopped")
        }
    }

    @Test(
        "signatures of other things are named",
        arguments: [
            ([(0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 1])], Signature.other("crypto_LUKS")),
            (
                [(510, [0x55, 0xaa]), (446, [0, 0, 2, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0])],
                .other("partition table dos")
            ),
            ([(4086, Array("SWAPSPACE2".utf8)), (1024, [1, 0, 0, 0, 0xff])], .other("swap")),
            ([(3 << 20, [0x55, 0xaa])], .nothing),
        ] as [([(UInt64, [UInt8])], Signature)])
    func signatures(content: [(UInt64, [UInt8])], expected: Signature) async throws {
        try await LoopDevice.with(size: 8 * mib) { path in
            for (offset, bytes) in content {
                try write(bytes, to: path, at: offset)
            }
            #expect(try Filesystem.probe(BlockDevice(path: path)) == expected)
        }
    }

    @Test func `traces of two things are ambiguous`() async throws {
        try await LoopDevice.with(size: 16 * mib) { path in
            let device = BlockDevice(path: path)
            try await Filesystem.make(.ext4, on: device)
            try write(Array("_BHRfS_M".utf8), to: path, at: 65536 + 64)
            #expect(try Filesystem.probe(device) == .ambiguous)
        }
    }

    @Test func `a damaged superblock is not a blank device`() async throws {
        try await LoopDevice.with(size: 16 * mib) { path in
            let device = BlockDevice(path: path)
            try await Filesystem.make(.ext4, on: device)
            // The volume name in the superblock, which the checksum covers.
            try write([0xff], to: path, at: 1024 + 120)
            #expect(try Filesystem.probe(device) == .filesystem("ext4"))
        }
    }

    @Test func `files of an xfs inherit the extent size hint`() async throws {
        try await LoopDevice.with(size: 320 * mib) { path in
            try await Filesystem.make(.xfs, on: BlockDevice(path: path))
            try await withDirectory { directory in
                let mount = directory + "/mount"
                try Mounter.createMountPoint(directory: mount)
                try Mounter.mount(device: path, at: mount, type: .xfs, options: [], readOnly: false)
                try Filesystem.setExtentSizeHint(root: mount, bytes: 2 << 20)
                try write([1], to: mount + "/file")
                // struct fsxattr by FS_IOC_FSGETXATTR; its second field is the hint.
                var attributes = InlineArray<7, UInt32>(repeating: 0)
                let file = open(mount + "/file", O_RDONLY | O_CLOEXEC)
                #expect(ioctl(file, 0x801c_581f, &attributes) == 0)
                close(file)
                #expect(attributes[1] == 2 << 20)
            }
        }
    }
}
