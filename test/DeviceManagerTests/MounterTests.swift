import Glibc
import Host
import TestSupport
import Testing

@Suite struct MountPointTests {
    @Test func `mount points are made and removed any number of times`() async throws {
        try await withDirectory { directory in
            for path in [directory + "/a", directory + "/b"] {
                for _ in 0..<2 {
                    if path.hasSuffix("a") {
                        try Mounter.createMountPoint(directory: path)
                    } else {
                        try Mounter.createMountPoint(file: path)
                    }
                }
                #expect(access(path, F_OK) == 0)
                for _ in 0..<2 { try Mounter.removeMountPoint(path) }
                #expect(access(path, F_OK) != 0)
            }
        }
    }

    @Test func `what holds data is neither mounted over nor removed`() async throws {
        try await withDirectory { directory in
            try Mounter.createMountPoint(directory: directory + "/full")
            try write([1], to: directory + "/full/file")
            for path in [directory + "/full", directory + "/full/file"] {
                #expect(await code { try Mounter.removeMountPoint(path) } == .occupied)
                #expect(access(path, F_OK) == 0)
            }
            #expect(await code { try Mounter.createMountPoint(directory: directory + "/full") } == .occupied)
            #expect(await code { try Mounter.createMountPoint(file: directory + "/full/file") } == .occupied)
        }
    }

    @Test func `a missing parent is not made`() async throws {
        try await withDirectory { directory in
            #expect(await code { try Mounter.createMountPoint(directory: directory + "/no/mount") } == .notFound)
            #expect(await code { try Mounter.createMountPoint(file: directory + "/no/mount") } == .notFound)
            try Mounter.removeMountPoint(directory + "/no/mount")
            try Mounter.unmount(directory + "/no/mount")
        }
    }

    @Test func `something of another kind is refused`() async throws {
        try await withDirectory { directory in
            try Mounter.createMountPoint(file: directory + "/file")
            #expect(symlink("/", directory + "/link") == 0)
            #expect(await code { try Mounter.createMountPoint(directory: directory + "/file") } == .invalidArgument)
            #expect(await code { try Mounter.createMountPoint(directory: directory + "/link") } == .invalidArgument)
            #expect(await code { try Mounter.createMountPoint(file: directory) } == .invalidArgument)
            #expect(await code { try Mounter.removeMountPoint(directory + "/link") } == .occupied)
        }
    }
}

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(2))) struct MounterTests {
    @Test(
        "a mount is what the same request finds compatible",
        arguments: [
            (.ext4, [], false), (.ext4, ["noatime", "nodev,nosuid", "noexec"], false), (.ext4, ["discard"], false),
            (.ext4, ["data=ordered", "sync"], true), (.ext4, ["lazytime", "dirsync", "strictatime"], false),
            (.xfs, ["nouuid", "relatime"], false), (.xfs, ["defaults", "ro"], false),
        ] as [(FilesystemType, [String], Bool)])
    func options(type: FilesystemType, options: [String], readOnly: Bool) async throws {
        try await withVolume(type) { device, mount, _ in
            try Mounter.mount(device: device, at: mount, type: type, options: options, readOnly: readOnly)
            let found = try #require(try MountTable.current().at(mount))
            #expect(found.type == type.rawValue)
            #expect(try found.device == BlockDevice(path: device).number())
            #expect(found.isCompatible(readOnly: readOnly, options: options))
            #expect(!found.isCompatible(readOnly: readOnly, options: options + ["nosymfollow"]))
            try await whileBusy { try Mounter.unmount(mount) }
            #expect(try MountTable.current().at(mount) == nil)
            try await whileBusy { try Mounter.unmount(mount) }
        }
    }

    @Test func `an impossible mount tells why, but not its options`() async throws {
        try await withVolume(.ext4) { device, mount, directory in
            let wrong = #expect(throws: HostError.self) {
                try Mounter.mount(device: device, at: mount, type: .ext4, options: ["secret=1"], readOnly: false)
            }
            #expect(wrong?.code == .invalidArgument)
            #expect(wrong?.message.contains("cannot mount \(device) at \(mount) as ext4") == true)
            #expect(wrong?.message.contains("secret") == false)
            let cases: [(HostError.Code, String, String, FilesystemType, [String])] = [
                (.notFound, "/dev/no-such-device", mount, .ext4, []), (.notFound, device, mount + "/no", .ext4, []),
                (.invalidArgument, device, mount, .xfs, []), (.invalidArgument, device, mount, .ext4, ["bind"]),
                (.invalidArgument, device, directory + "/link", .ext4, []),
                (.invalidArgument, device, mount, .ext4, [String(repeating: "x", count: 4096)]),
            ]
            #expect(symlink(mount, directory + "/link") == 0)
            for (expected, device, path, type, options) in cases {
                let found = await code {
                    try Mounter.mount(device: device, at: path, type: type, options: options, readOnly: false)
                }
                #expect(found == expected, "\(device) at \(path)")
            }
            let table = try MountTable.current()
            #expect(table.at(mount) == nil)
        }
    }

    @Test func `what is in use is not unmounted`() async throws {
        try await withVolume(.ext4) { device, mount, _ in
            try Mounter.mount(device: device, at: mount, type: .ext4, options: [], readOnly: false)
            let file = open(mount, O_RDONLY | O_CLOEXEC)
            let busy = #expect(throws: HostError.self) { try Mounter.unmount(mount) }
            #expect(busy?.code == .busy)
            #expect(await code { try Mounter.removeMountPoint(mount) } == .busy)
            close(file)
            try await whileBusy { try Mounter.unmount(mount) }
        }
    }

    @Test func `stacked mounts all go`() async throws {
        try await withVolume(.ext4) { device, mount, directory in
            try Mounter.mount(device: device, at: mount, type: .ext4, options: [], readOnly: false)
            try Mounter.bind(from: mount, to: mount, readOnly: true)
            try Mounter.bind(from: mount, to: mount, readOnly: true)
            #expect(try MountTable.current().mounts(at: mount).count == 3)
            try await whileBusy { try Mounter.unmountAll(mount) }
            try await whileBusy { try Mounter.unmountAll(mount) }
            #expect(try MountTable.current().at(mount) == nil)
        }
    }

    @Test(
        "a bind mount is read-only alone, and keeps the restrictions of its source",
        arguments: [
            (true, true), (true, false), (false, true), (false, false),
        ])
    func bind(atOnce: Bool, readOnly: Bool) async throws {
        try await withVolume(.ext4) { device, mount, directory in
            let target = directory + "/target"
            let options = ["nosuid", "nodev", "noexec", "noatime"]
            try Mounter.mount(device: device, at: mount, type: .ext4, options: options, readOnly: false)
            try Mounter.createMountPoint(directory: target)
            if atOnce {
                try Mounter.bind(from: mount, to: target, readOnly: readOnly)
            } else {
                try Mounter.bindInSteps(from: mount, to: target, readOnly: readOnly)
            }
            let bound = try #require(try MountTable.current().at(target))
            #expect(bound.isCompatible(readOnly: readOnly, options: options))
            #expect(!bound.isCompatible(readOnly: !readOnly, options: options))
            try write([1], to: mount + "/file")
            let written = await code { try write([2], to: target + "/file") }
            #expect(written == (readOnly ? .failed : nil))
            #expect(try read(1, from: target + "/file") == [readOnly ? 1 : 2])
            try await whileBusy { try Mounter.unmount(target) }
            try Mounter.removeMountPoint(target)
        }
    }

    @Test func `a device node is bound to a file`() async throws {
        try await withVolume(.ext4) { device, _, directory in
            let target = directory + "/device"
            #expect(await code { try Mounter.bind(from: device, to: target, readOnly: false) } == .notFound)
            try Mounter.createMountPoint(file: target)
            try Mounter.bind(from: device, to: target, readOnly: false)
            try Mounter.createMountPoint(file: target)
            #expect(try BlockDevice(path: target).number() == BlockDevice(path: device).number())
            #expect(try Filesystem.probe(BlockDevice(path: target)) == .filesystem("ext4"))
            try await whileBusy { try Mounter.unmountAll(target) }
            try Mounter.removeMountPoint(target)
        }
    }

    /// A formatted device, a mount point for it, and the directory that holds the mount point.
    private func withVolume(
        _ type: FilesystemType, _ body: (String, String, String) async throws -> Void
    ) async throws {
        try await LoopDevice.with(size: type == .xfs ? 320 << 20 : 16 << 20) { device in
            try await Filesystem.make(type, on: BlockDevice(path: device))
            try await withDirectory { directory in
                try Mounter.createMountPoint(directory: directory + "/mount")
                try await body(device, directory + "/mount", directory)
            }
        }
    }
}
