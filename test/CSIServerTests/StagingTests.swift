import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Host
import TestSupport
import Testing

@testable import CSIServer

@Suite("Staging and publishing on real devices", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(1)))
struct StagingTests {
    @Test("a whole life leaves nothing mounted, nothing attached and no directory")
    func life() async throws {
        let (device, directory) = try await withRealVolume { volume, directory in
            try await volume.driver.publish(volume.id)
            try await volume.stage()
            try await volume.publish()
            try write([1, 2, 3], to: "\(volume.target)/file")
            #expect(try volume.mountPoints() == [volume.staging, volume.target])
            try await volume.unpublish()
            try await volume.unstage()
            try await volume.driver.unpublish(volume.id)
            #expect(try volume.mountPoints() == [])
            #expect(!exists(volume.target) && exists(volume.staging))
            // The data is there for the next pod.
            try await volume.stage()
            try await volume.publish()
            #expect(try read(3, from: "\(volume.target)/file") == [1, 2, 3])
            try await volume.unpublish()
            try await volume.unstage()
            try await volume.driver.delete(volume.id)
            return (volume.device, directory)
        }
        #expect(!exists("/sys/block/\(device.split(separator: "/").last ?? "")/loop/backing_file"))
        #expect(!exists(directory))
    }

    @Test("everything may be asked for twice")
    func twice() async throws {
        try await withRealVolume { volume, _ in
            for _ in 0..<2 { try await volume.stage() }
            for _ in 0..<2 { try await volume.publish() }
            #expect(try volume.mountPoints() == [volume.staging, volume.target])
            for _ in 0..<2 { try await volume.unpublish() }
            #expect(try volume.mountPoints() == [volume.staging])
            for _ in 0..<2 { try await volume.unstage() }
            #expect(try volume.mountPoints() == [])
        }
    }

    @Test("staging again in another way is ALREADY_EXISTS", arguments: [["noatime"], ["nosuid", "nodev"], ["sync"]])
    func otherFlags(flags: [String]) async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            await expect(.alreadyExists, volume.id) { try await volume.stage(.mount(flags: flags)) }
            try await volume.unstage()
            try await volume.stage(.mount(flags: flags))
            try await volume.stage(.mount(flags: flags))
            await expect(.alreadyExists, volume.id) { try await volume.stage() }
        }
    }

    @Test("mount flags reach the kernel")
    func flags() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage(.mount(flags: ["noatime,nosuid", "data=journal"]))
            let mount = try #require(try MountTable.current().at(volume.staging))
            #expect(mount.options.contains("noatime") && mount.options.contains("nosuid"))
            #expect(mount.superOptions.contains("data=journal"))
        }
    }

    @Test("mount flags that the kernel refuses leave nothing mounted, and are not repeated in the message")
    func badFlags() async throws {
        try await withRealVolume { volume, _ in
            do {
                try await volume.stage(.mount(flags: ["password=hunter2"]))
                Issue.record("mounted with a nonsense option")
            } catch let error as RPCError {
                #expect(error.code == .invalidArgument)
                #expect(!error.message.contains("hunter2") && error.message.contains(volume.device))
            }
            #expect(try volume.mountPoints() == [])
            try await volume.stage()
        }
    }

    @Test("what is mounted at the staging path by others is refused and left alone")
    func foreignMount() async throws {
        try await withRealVolume { volume, directory in
            #expect(mount("none", volume.staging, "tmpfs", 0, nil) == 0)
            await expect(.failedPrecondition, volume.staging, volume.id) { try await volume.stage() }
            await expect(.failedPrecondition, volume.staging) { try await volume.unstage() }
            await expect(.failedPrecondition, volume.staging) { try await volume.publish() }
            #expect(try MountTable.current().at(volume.staging)?.type == "tmpfs")
            #expect(volume.format == .never)
            let target = try makeDirectory(volume.target)
            #expect(mount("none", target, "tmpfs", 0, nil) == 0)
            await expect(.failedPrecondition, target) { try await volume.unpublish() }
            #expect(umount2(volume.staging, 0) == 0)
            try await volume.stage()
            await expect(.failedPrecondition, target, volume.id) { try await volume.publish() }
            #expect(umount2(target, 0) == 0)
            try await volume.publish()
        }
    }

    @Test("a staging path that does not exist is a failure that names it")
    func noStagingPath() async throws {
        try await withRealVolume { volume, directory in
            let path = "\(directory)/missing"
            await expect(.failedPrecondition, path) { try await volume.driver.stage(volume.id, at: path) }
            #expect(!exists(path))
        }
    }

    @Test("a volume that is not staged there cannot be published")
    func notStaged() async throws {
        try await withRealVolume { volume, directory in
            await expect(.failedPrecondition, volume.staging, volume.id) { try await volume.publish() }
            #expect(!exists(volume.target))
            try await volume.stage()
            await expect(.failedPrecondition, directory) {
                try await volume.driver.publish(volume.id, from: directory, at: volume.target)
            }
        }
    }

    @Test("read-only is really read-only, by readonly or by access mode", arguments: [true, false])
    func readOnly(byField: Bool) async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            try await volume.publish(
                readOnly: byField, .mount("ext4", byField ? .singleNodeWriter : .singleNodeReaderOnly))
            let failure = #expect(throws: SystemFailure.self) { try write([1], to: "\(volume.target)/file") }
            #expect(failure?.number == EROFS)
            try write([1], to: "\(volume.staging)/file")
        }
    }

    @Test("publishing at the same place in another way is ALREADY_EXISTS", arguments: [true, false])
    func otherReadOnly(first: Bool) async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            try await volume.publish(readOnly: first)
            try await volume.publish(readOnly: first)
            await expect(.alreadyExists, volume.target) { try await volume.publish(readOnly: !first) }
        }
    }

    @Test(
        "a second target depends on the access mode",
        arguments: [
            (.singleNodeWriter, false), (.singleNodeSingleWriter, false), (.singleNodeMultiWriter, true),
        ] as [(Csi_V1_VolumeCapability.AccessMode.Mode, Bool)])
    func secondTarget(mode: Csi_V1_VolumeCapability.AccessMode.Mode, isGood: Bool) async throws {
        try await withRealVolume { volume, directory in
            let (capability, second) = (Csi_V1_VolumeCapability.mount("ext4", mode), "\(directory)/second")
            try await volume.stage(capability)
            try await volume.publish(capability)
            if isGood {
                try await volume.publish(at: second, capability)
                #expect(try volume.mountPoints() == [second, volume.staging, volume.target].sorted())
                try await volume.unpublish(at: second)
            } else {
                await expect(.failedPrecondition, volume.target) { try await volume.publish(at: second, capability) }
            }
            #expect(!exists(second))
            try await volume.publish(capability)
        }
    }

    @Test("a target with somebody's files is not removed, one without a parent not made")
    func targets() async throws {
        try await withRealVolume { volume, directory in
            try await volume.stage()
            let target = try makeDirectory(volume.target)
            try await volume.publish()
            try await volume.unpublish()
            #expect(!exists(target))
            _ = try makeDirectory(target)
            try write([1], to: "\(target)/file")
            await expect(.internalError, target) { try await volume.unpublish() }
            #expect(exists("\(target)/file"))
            await expect(.failedPrecondition, "parent") { try await volume.publish(at: "\(directory)/a/b") }
        }
    }

    @Test("a volume in use is neither unstaged nor deleted")
    func inUse() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            let file = open("\(volume.staging)/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            await expect(.failedPrecondition, volume.staging) { try await volume.unstage() }
            await expect(.failedPrecondition, volume.id) { try await volume.driver.delete(volume.id) }
            #expect(try volume.mountPoints() == [volume.staging])
            close(file)
            await expect(.failedPrecondition, volume.id) { try await volume.driver.delete(volume.id) }
            try await volume.unstage()
            try await volume.driver.delete(volume.id)
        }
    }

    @Test("unknown volumes are NOT_FOUND to stage and publish, and gone already to take back")
    func unknown() async throws {
        try await withRealVolume { volume, _ in
            for id in ["x", VolumeID(name: "b", node: "node-1").rawValue] {
                await expect(.notFound, id) { try await volume.driver.stage(id, at: volume.staging) }
                await expect(.notFound, id) {
                    try await volume.driver.publish(id, from: volume.staging, at: volume.target)
                }
                try await volume.driver.unstage(id, at: volume.staging)
                try await volume.driver.unpublish(id, at: volume.target)
            }
            try await volume.stage()
            // A mount of somebody's is not taken for that of a volume that nobody knows.
            await expect(.notFound, "x") { try await volume.driver.unstage("x", at: volume.staging) }
            #expect(try volume.mountPoints() == [volume.staging])
        }
    }

    @Test("what was mounted twice by an interrupted call is unmounted twice")
    func stacked() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            #expect(mount(volume.device, volume.staging, "ext4", 0, nil) == 0)
            #expect(try volume.mountPoints() == [volume.staging, volume.staging])
            try await volume.unstage()
            #expect(try volume.mountPoints() == [])
        }
    }
}

@Suite("Formatting", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(1)))
struct FormattingTests {
    /// What is on the device.
    enum Content: Sendable {
        case blank, ext4, xfs, luks, ambiguous, stain(UInt64)
    }

    enum Outcome: Sendable {
        case formatted, kept, refused
    }

    private static let ends: [UInt64] = [4096 * 3, 16 << 20 - 512]

    @Test(
        "mkfs needs proof that nothing is lost",
        arguments: [
            (.never, .blank, .formatted), (.never, .ext4, .refused), (.never, .xfs, .refused),
            (.never, .luks, .refused), (.never, .ambiguous, .refused),
            (.formatting("ext4"), .blank, .formatted), (.formatting("ext4"), .ext4, .formatted),
            (.formatting("ext4"), .ambiguous, .formatted), (.formatting("ext4"), .xfs, .refused),
            (.formatting("ext4"), .luks, .refused), (.formatting("xfs"), .ext4, .refused),
            (.formatted("ext4"), .ext4, .kept), (.formatted("ext4"), .blank, .refused),
            (.formatted("ext4"), .xfs, .refused), (.formatted("ext4"), .luks, .refused),
            (.formatted("ext4"), .ambiguous, .refused), (.formatted("xfs"), .xfs, .refused),
            (.unknown, .ext4, .kept), (.unknown, .blank, .formatted), (.unknown, .stain(ends[0]), .refused),
            (.unknown, .stain(ends[1]), .refused), (.unknown, .xfs, .refused), (.unknown, .luks, .refused),
            (.unknown, .ambiguous, .refused),
        ] as [(VolumeRecord.Format, Content, Outcome)])
    func decision(format: VolumeRecord.Format, content: Content, outcome: Outcome) async throws {
        try await withRealVolume { volume, directory in
            try await put(content, on: volume.device, directory)
            try volume.set(format)
            let before = try identity(of: volume.device)
            if case .refused = outcome {
                await expect(.failedPrecondition, volume.id) { try await volume.stage() }
                #expect(volume.format == format)
                #expect(try identity(of: volume.device) == before)
                #expect(try volume.mountPoints() == [])
                return
            }
            try await volume.stage()
            #expect(volume.format == .formatted("ext4"))
            #expect(try MountTable.current().at(volume.staging)?.type == "ext4")
            let isKept = if case .kept = outcome { true } else { false }
            #expect(exists("\(volume.staging)/mine") == isKept)
        }
    }

    /// The first 128 KiB and the last 4: all signatures that libblkid knows here.
    private func identity(of device: String) throws -> [UInt8] {
        try read(128 << 10, from: device) + read(4096, from: device, at: 16 << 20 - 4096)
    }

    private func put(_ content: Content, on device: String, _ directory: String) async throws {
        switch content {
        case .blank: break
        case .ext4:
            try await Filesystem.make(.ext4, on: BlockDevice(path: device))
            let path = try makeDirectory("\(directory)/before")
            try Mounter.mount(device: device, at: path, type: .ext4, options: [], readOnly: false)
            try write([1], to: "\(path)/mine")
            try Mounter.unmount(path)
        // As libblkid sees it; a real one needs 300 MiB.
        case .xfs: try writeXFS(to: device)
        case .luks: try write([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 1], to: device)
        case .ambiguous:
            try await Filesystem.make(.ext4, on: BlockDevice(path: device))
            try write(Array("_BHRfS_M".utf8), to: device, at: 65536 + 64)
        case .stain(let offset): try write([1], to: device, at: offset)
        }
        let found = try Filesystem.probe(BlockDevice(path: device))
        switch content {
        case .blank, .stain: try #require(found == .nothing)
        case .ext4: try #require(found == .filesystem("ext4"))
        case .xfs: try #require(found == .filesystem("xfs"))
        case .luks: try #require(found == .other("crypto_LUKS"))
        case .ambiguous: try #require(found == .ambiguous)
        }
    }

    private func writeXFS(to device: String) throws {
        let image = try LoopDevice(size: 300 << 20)
        let process = popen("mkfs.xfs -q \(image.path) 2>&1", "r")
        try #require(process != nil && pclose(process) == 0)
        try write(read(4096, from: image.path), to: device)
    }

    @Test("a mkfs that fails is begun again by the next call")
    func mkfsFails() async throws {
        try await withRealVolume { volume, _ in
            // The exclusive open that mkfs makes fails while somebody else has one.
            let holder = open(volume.device, O_RDONLY | O_EXCL | O_CLOEXEC)
            await expect(.failedPrecondition, volume.device) { try await volume.stage() }
            #expect(volume.format == .formatting("ext4"))
            close(holder)
            try await volume.stage()
            #expect(volume.format == .formatted("ext4"))
        }
    }

    @Test("file systems have blocks of 4 KiB")
    func blocks() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            var status = statvfs()
            #expect(statvfs(volume.staging, &status) == 0)
            #expect(status.f_bsize == 4096)
        }
    }
}
