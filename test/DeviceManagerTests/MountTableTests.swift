import Glibc
import Host
import TestSupport
import Testing

@Suite struct MountTableParsingTests {
    private static let table = MountTable(
        parsing: """
            21 1 254:0 / / rw,relatime - ext4 /dev/root rw
            36 21 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue
            37 21 259:3 / /a\\040b\\134\\011c rw - xfs /dev/my\\040disk ro,attr2
            not a mount
            38 21 0:5 /pmem0 /pods/device rw - devtmpfs  rw,size=4k
            39 37 7:1 / /a\\040b\\134\\011c ro,nosuid - ext4 /dev/loop1 rw
            40 21 7:2 / /no-separator rw ext4 /dev/loop2 rw more
            41 21 7:3 / /caf\u{e9} rw - ext4 /dev/loop3 rw,dax=always

            """)

    @Test func `fields are taken apart, optional ones or not`() throws {
        let mount = try #require(Self.table.at("/mnt2"))
        #expect(mount.id == 36)
        #expect(mount.parentID == 21)
        #expect(mount.device == DeviceNumber(major: 98, minor: 0))
        #expect(mount.root == "/mnt1")
        #expect(mount.options == ["rw", "noatime"])
        #expect(mount.type == "ext3")
        #expect(mount.source == "/dev/root")
        #expect(mount.superOptions == ["rw", "errors=continue"])
    }

    @Test func `lines of an unknown form are left out`() {
        #expect(Self.table.mounts.map(\.id) == [21, 36, 37, 38, 39, 41])
    }

    @Test func `of mounts at one path the last is seen`() {
        #expect(Self.table.mounts(at: "/a b\\\tc").map(\.id) == [37, 39])
        #expect(Self.table.at("/a b\\\tc")?.source == "/dev/loop1")
        #expect(Self.table.mounts(at: "/a b\\\tc").first?.source == "/dev/my disk")
    }

    @Test(
        "a path is compared byte by byte, and only as a whole",
        arguments: [
            ("/", 21), ("//", 21), ("/mnt2/", 36), ("/mnt2/.", nil), ("/mnt2/x", nil), ("/mnt", nil),
            ("/caf\u{e9}", 41),
            ("/cafe\u{301}", nil), ("/pods/device", 38),
        ] as [(String, Int?)])
    func paths(path: String, id: Int?) {
        #expect(Self.table.at(path)?.id == id)
    }

    @Test func `an empty source is no missing field`() {
        #expect(Self.table.at("/pods/device")?.source == "")
    }

    @Test func `mounts are found by their device`() {
        #expect(Self.table.mounts(of: DeviceNumber(major: 7, minor: 1)).map(\.id) == [39])
    }

    @Test("read-only is either the mount or the file system", arguments: [(21, false), (37, true), (39, true)])
    func readOnly(id: Int, expected: Bool) {
        #expect(Self.table.mounts.first { $0.id == id }?.isReadOnly == expected)
    }

    @Test func `the table of this process has a root`() throws {
        #expect(try MountTable.current().at("/") != nil)
        #expect(try MountTable.current().at("/proc")?.type == "proc")
    }
}

@Suite struct MountCompatibilityTests {
    private static func mount(_ options: String, _ superOptions: String) throws -> Mount {
        let line = "36 21 259:0 / /mount \(options) - ext4 /dev/pmem0 \(superOptions)"
        return try #require(MountTable(parsing: line).mounts.first)
    }

    @Test(
        "the same request again is compatible",
        arguments: [
            ("rw,relatime", "rw", false, []), ("rw,relatime", "rw", false, ["defaults", "rw", "async", "dev"]),
            ("rw,relatime", "rw,dax=always,stripe=512", false, ["dax"]),
            ("rw,relatime", "rw,dax", false, ["dax=always"]),
            ("rw,noatime,nosuid", "rw", false, ["noatime,nosuid"]), ("ro,relatime", "rw", true, []),
            ("ro,relatime", "ro", false, ["ro"]), ("rw,relatime", "rw,sync", false, ["sync"]),
            ("rw,relatime", "rw", false, ["data=ordered", "errors=continue", "x-mount", "_netdev", "barrier"]),
            ("rw,relatime", "rw,norecovery", false, ["noload"]), ("rw", "rw", false, ["strictatime"]),
            ("rw,relatime", "rw,dax=always", false, []),
        ] as [(String, String, Bool, [String])])
    func compatible(options: String, superOptions: String, readOnly: Bool, requested: [String]) throws {
        #expect(try Self.mount(options, superOptions).isCompatible(readOnly: readOnly, options: requested))
    }

    @Test(
        "a different request is not",
        arguments: [
            ("rw,relatime", "rw", true, []), ("ro,relatime", "rw", false, []), ("rw,relatime", "ro", false, []),
            ("rw,relatime", "rw", false, ["dax"]), ("rw,relatime", "rw,dax=always", false, ["dax=never"]),
            ("rw,relatime", "rw", false, ["noexec"]), ("rw,relatime,noexec", "rw", false, []),
            ("rw,relatime", "rw", false, ["noatime"]), ("rw,relatime", "rw,sync", false, []),
            ("rw,relatime", "rw", false, ["discard"]), ("rw,relatime", "rw,discard", false, ["nodiscard"]),
            ("rw,relatime", "rw,data=journal", false, ["data=ordered"]), ("rw,relatime", "rw", false, ["strictatime"]),
            ("rw,relatime", "rw", false, ["remount"]),
        ] as [(String, String, Bool, [String])])
    func incompatible(options: String, superOptions: String, readOnly: Bool, requested: [String]) throws {
        #expect(try !Self.mount(options, superOptions).isCompatible(readOnly: readOnly, options: requested))
    }
}

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(2))) struct MountTableSystemTests {
    @Test func `a mount is found through symbolic links in its parents`() async throws {
        try await withMounted { directory, _, mount in
            #expect(symlink(directory, directory + "/link") == 0)
            let table = try MountTable.current()
            #expect(table.at(directory + "/link/mount/")?.mountPoint == mount)
            #expect(table.at(directory + "/link") == nil)
            #expect(table.at(directory + "/missing/mount") == nil)
        }
    }

    @Test func `a mount in another namespace counts`() async throws {
        try await withMounted { _, device, mount in
            let number = try BlockDevice(path: device).number()
            // The other namespace keeps its copy of the mount when ours is gone.
            let other = try #require(popen("exec unshare -m sh -c 'echo $$; exec sleep 60'", "r"))
            var process: pid_t = 0
            withUnsafeMutablePointer(to: &process) { pointer in
                withVaList([pointer]) { _ = vfscanf(other, "%d", $0) }
            }
            defer { pclose(other) }
            defer { kill(process, SIGKILL) }
            try await whileBusy { try Mounter.unmount(mount) }
            #expect(try MountTable.current().mounts(of: number).isEmpty)
            #expect(try MountTable.mountsAnywhere(of: number).map(\.mountPoint) == [mount])
            #expect(try MountTable.isMountedAnywhere(number))
            #expect(await code { try BlockDevice(path: device).checkNotInUse() } == .busy)
        }
    }

    @Test func `a device node bound to a file counts`() async throws {
        try await LoopDevice.with(size: 1 << 20) { device in
            let number = try BlockDevice(path: device).number()
            #expect(try !MountTable.isMountedAnywhere(number))
            try await withDirectory { directory in
                try Mounter.createMountPoint(file: directory + "/device")
                try Mounter.bind(from: device, to: directory + "/device", readOnly: false)
                #expect(try MountTable.mountsAnywhere(of: number).map(\.mountPoint).contains(directory + "/device"))
            }
            #expect(try !MountTable.isMountedAnywhere(number))
        }
    }

    /// A mounted ext4 in a new directory: the directory, the device, the mount point.
    private func withMounted(_ body: (String, String, String) async throws -> Void) async throws {
        try await LoopDevice.with(size: 16 << 20) { device in
            try await Filesystem.make(.ext4, on: BlockDevice(path: device))
            try await withDirectory { directory in
                let mount = directory + "/mount"
                try Mounter.createMountPoint(directory: mount)
                try Mounter.mount(device: device, at: mount, type: .ext4, options: [], readOnly: false)
                try await body(directory, device, mount)
            }
        }
    }
}
