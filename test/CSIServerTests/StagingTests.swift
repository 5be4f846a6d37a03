import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Host
import TestSupport
import Testing

@testable import CSIServer

@Suite("Staging and publishing on real devices", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct StagingTests {
    @Test("a whole life leaves nothing mounted, nothing attached and no directory")
    func life() async throws {
        let directory = try await withRealVolume { volume, directory in
            try await volume.driver.publish(volume.id)
            try await volume.stage()
            try await volume.publish()
            try write([1, 2, 3], to: "\(volume.target)/file")
            #expect(try await volume.mountPoints() == [volume.staging, volume.target])
            try await volume.unpublish()
            try await volume.unstage()
            try await volume.driver.unpublish(volume.id)
            #expect(try await volume.mountPoints() == [])
            #expect(!exists(volume.target) && exists(volume.staging))
            try await waitUntilDetached(below: directory)
            // The data is there for the next pod.
            try await volume.stage()
            try await volume.publish()
            #expect(try read(3, from: "\(volume.target)/file") == [1, 2, 3])
            try await volume.unpublish()
            try await volume.unstage()
            try await waitUntilDetached(below: directory)
            try await volume.driver.delete(volume.id)
            return directory
        }
        #expect(!exists(directory))
    }

    @Test("everything may be asked for twice")
    func twice() async throws {
        try await withRealVolume { volume, _ in
            for _ in 0..<2 { try await volume.stage() }
            for _ in 0..<2 { try await volume.publish() }
            #expect(try await volume.mountPoints() == [volume.staging, volume.target])
            for _ in 0..<2 { try await volume.unpublish() }
            #expect(try await volume.mountPoints() == [volume.staging])
            for _ in 0..<2 { try await volume.unstage() }
            #expect(try await volume.mountPoints() == [])
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
            // The kernel shows some options that nobody asked for, so these are no difference.
            guard flags != ["noatime"] else { return try await volume.stage() }
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
            let device = try await volume.attach()
            do {
                try await volume.stage(.mount(flags: ["password=hunter2"]))
                Issue.record("mounted with a nonsense option")
            } catch let error as RPCError {
                #expect(error.code == .invalidArgument)
                #expect(!error.message.contains("hunter2") && error.message.contains(device))
            }
            #expect(try await volume.mountPoints() == [])
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

    @Test("what ControllerPublishVolume gave read-only is read-only on the node, whatever NodePublishVolume says")
    func readOnlyByController() async throws {
        try await withRealVolume { volume, _ in
            try await volume.driver.publish(volume.id, readOnly: true)
            try await volume.stage()
            for _ in 0..<2 { try await volume.publish(readOnly: false) }
            let failure = #expect(throws: SystemFailure.self) { try write([1], to: "\(volume.target)/file") }
            #expect(failure?.number == EROFS)
        }
    }

    @Test("a volume that is staged read-only can be published twice")
    func stagedReadOnly() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            try await volume.unstage()
            try await volume.stage(.mount(flags: ["ro"]))
            for _ in 0..<2 { try await volume.publish(.mount(flags: ["ro"])) }
            #expect(try await volume.mountPoints() == [volume.staging, volume.target])
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
                #expect(try await volume.mountPoints() == [second, volume.staging, volume.target].sorted())
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
            await expect(.failedPrecondition, target) { try await volume.unpublish() }
            #expect(exists("\(target)/file"))
            await expect(.failedPrecondition, "parent") { try await volume.publish(at: "\(directory)/a/b") }
        }
    }

    @Test("a volume in use is neither unstaged nor deleted")
    func inUse() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            let file = open("\(volume.staging)/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            await expect(.failedPrecondition, volume.staging) {
                try await volume.driver.unstage(volume.id, at: volume.staging)
            }
            await expect(.failedPrecondition, volume.id) { try await volume.driver.delete(volume.id) }
            #expect(try await volume.mountPoints() == [volume.staging])
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
            #expect(try await volume.mountPoints() == [volume.staging])
        }
    }

    @Test("what was mounted twice by an interrupted call is unmounted twice")
    func stacked() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            #expect(mount(volume.staging, volume.staging, nil, UInt(MS_BIND), nil) == 0)
            #expect(try await volume.mountPoints() == [volume.staging, volume.staging])
            try await volume.unstage()
            #expect(try await volume.mountPoints() == [])
        }
    }

    @Test("publishing where the volume is staged is refused, and it stays staged", arguments: [true, false])
    func publishAtStaging(isBlock: Bool) async throws {
        try await withRealVolume { volume, directory in
            let capability = isBlock ? Csi_V1_VolumeCapability.block() : .mount()
            let place = isBlock ? volume.node : volume.staging
            try await volume.stage(capability)
            let link = "\(directory)/link"
            #expect(symlink(String(place.prefix(upTo: place.lastIndex(of: "/") ?? place.startIndex)), link) == 0)
            for target in [place, "\(link)/\(place.split(separator: "/").last ?? "")"] {
                await expect(.invalidArgument, "target_path", volume.id) {
                    try await volume.publish(at: target, capability)
                }
            }
            try await volume.publish(capability)
            try await volume.unpublish()
            try await volume.unstage()
        }
    }
}
