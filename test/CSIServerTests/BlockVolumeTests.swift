import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Host
import TestSupport
import Testing

@testable import CSIServer

@Suite("Raw block volumes", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct BlockVolumeTests {
    typealias Mode = Csi_V1_VolumeCapability.AccessMode.Mode

    @Test("the device is at the target path, and its content stays from pod to pod")
    func life() async throws {
        try await withRealVolume { volume, _ in
            for round in 0..<2 {
                try await volume.stage(.block())
                try await volume.publish(.block())
                #expect(try BlockDevice(path: volume.target).size() == 16 << 20)
                if round == 0 { try write([1, 2, 3], to: volume.target, at: 4096) }
                #expect(try read(3, from: volume.target, at: 4096) == [1, 2, 3])
                #expect(volume.format == .block)
                try await volume.unpublish()
                try await volume.unstage()
                #expect(!exists(volume.target))
                #expect(try content(of: volume.staging) == [])
            }
            try await volume.driver.delete(volume.id)
        }
    }

    @Test("everything may be asked for twice, and what was cut off is finished")
    func twice() async throws {
        try await withRealVolume { volume, _ in
            // Files that an earlier call made before it was killed.
            try write([], to: "\(volume.staging)/\(volume.id)")
            try write([], to: volume.target)
            for _ in 0..<2 { try await volume.stage(.block()) }
            for _ in 0..<2 { try await volume.publish(.block()) }
            #expect(try await volume.nodes() == [volume.node, volume.target])
            for _ in 0..<2 { try await volume.unpublish() }
            #expect(try await volume.nodes() == [volume.node])
            for _ in 0..<2 { try await volume.unstage() }
            #expect(try await volume.nodes() == [])
            // Unmounted, and killed before the files were removed.
            try write([], to: "\(volume.staging)/\(volume.id)")
            try write([], to: volume.target)
            try await volume.unpublish()
            try await volume.unstage()
            #expect(!exists(volume.target))
            #expect(try content(of: volume.staging) == [])
        }
    }

    enum ReadOnly: CaseIterable {
        case field, mode, controller
    }

    @Test("read-only is really read-only, and ends with the publication", arguments: ReadOnly.allCases)
    func readOnly(by way: ReadOnly) async throws {
        try await withRealVolume { volume, _ in
            if way == .controller { try await volume.driver.publish(volume.id, readOnly: true) }
            let capability = Csi_V1_VolumeCapability.block(way == .mode ? .singleNodeReaderOnly : .singleNodeWriter)
            try await volume.stage(capability)
            for _ in 0..<2 { try await volume.publish(readOnly: way == .field, capability) }
            #expect(throws: SystemFailure.self) { try write([1], to: volume.target) }
            #expect(try read(1, from: volume.target) == [0])
            if way == .field { await expect(.alreadyExists, volume.target) { try await volume.publish(capability) } }
            try await volume.unpublish()
            if way == .controller { try await volume.driver.unpublish(volume.id) }
            try await volume.publish(.block())
            try write([1], to: volume.target)
        }
    }

    @Test("a device is not writable at one path and read-only at another", arguments: [true, false])
    func conflict(first: Bool) async throws {
        try await withRealVolume { volume, directory in
            let (second, capability) = ("\(directory)/second", Csi_V1_VolumeCapability.block(.singleNodeMultiWriter))
            try await volume.stage(capability)
            try await volume.publish(readOnly: first, capability)
            await expect(.failedPrecondition, volume.target) {
                try await volume.publish(at: second, readOnly: !first, capability)
            }
            #expect(!exists(second))
            #expect(isWritable(volume.target) == !first)
            try await volume.publish(at: second, readOnly: first, capability)
            try await volume.unpublish()
            #expect(isWritable(second) == !first)
            try await volume.unpublish(at: second)
            try await volume.publish(readOnly: !first, capability)
            #expect(isWritable(volume.target) == first)
        }
    }

    @Test(
        "a second target depends on the access mode",
        arguments: [
            (.singleNodeWriter, false), (.singleNodeSingleWriter, false), (.singleNodeReaderOnly, false),
            (.singleNodeMultiWriter, true),
        ] as [(Mode, Bool)])
    func secondTarget(mode: Mode, isGood: Bool) async throws {
        try await withRealVolume { volume, directory in
            let second = "\(directory)/second"
            try await volume.stage(.block(mode))
            try await volume.publish(.block(mode))
            guard isGood else {
                await expect(.failedPrecondition, volume.target) {
                    try await volume.publish(at: second, .block(mode))
                }
                return #expect(!exists(second))
            }
            try await volume.publish(at: second, .block(mode))
            #expect(try await volume.nodes() == [second, volume.node, volume.target].sorted())
            try await volume.unpublish(at: second)
            #expect(try await volume.nodes() == [volume.node, volume.target])
        }
    }

    @Test("a volume is a raw device or a file system, not both at a time")
    func oneAccess() async throws {
        try await withRealVolume { volume, directory in
            let other = try makeDirectory("\(directory)/other")
            try await volume.stage()
            await expect(.failedPrecondition) { try await volume.stage(.block()) }
            await expect(.failedPrecondition) { try await volume.driver.stage(volume.id, at: other, .block()) }
            await expect(.failedPrecondition, volume.id) { try await volume.publish(.block()) }
            #expect(volume.format == .formatted("ext4"))
            #expect(try content(of: other) == [])
            try await volume.publish()
            await expect(.alreadyExists, volume.target) { try await volume.publish(.block()) }
            try await volume.unpublish()
            try await volume.unstage()
            try await volume.stage(.block())
            await expect(.failedPrecondition, volume.node) { try await volume.stage() }
            await expect(.failedPrecondition, volume.node) { try await volume.driver.stage(volume.id, at: other) }
            await expect(.failedPrecondition, volume.node) {
                try await volume.driver.stage(volume.id, at: other, .block())
            }
            await expect(.failedPrecondition, volume.id) { try await volume.publish() }
            try await volume.publish(.block())
            await expect(.alreadyExists, volume.target) { try await volume.publish() }
        }
    }

    @Test("what a raw device's user made there is mounted if it is what is asked for, and never formatted")
    func blockThenMount() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage(.block())
            try await volume.unstage()
            await expect(.failedPrecondition, volume.id, "block") { try await volume.stage() }
            try await volume.stage(.block())
            try await volume.publish(.block())
            try await Filesystem.make(.ext4, on: BlockDevice(path: volume.target))
            try await volume.unpublish()
            try await volume.unstage()
            await expect(.failedPrecondition, volume.id) { try await volume.stage(.mount("xfs")) }
            try await volume.stage()
            try write([7], to: "\(volume.staging)/file")
            try await volume.unstage()
            try await volume.stage(.block())
            try await volume.unstage()
            try await volume.stage()
            #expect(try read(1, from: "\(volume.staging)/file") == [7])
        }
    }

    @Test("a publication that a crash left read-only does not hinder a mount")
    func leftReadOnly() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            try await volume.unstage()
            let path = try await volume.attach()
            try BlockDevice(path: path).setReadOnly(true)
            try await volume.stage()
            try write([1], to: "\(volume.staging)/file")
        }
    }

    @Test("a volume that is not staged cannot be published")
    func notStaged() async throws {
        try await withRealVolume { volume, directory in
            await expect(.failedPrecondition, volume.staging) { try await volume.publish(.block()) }
            try await volume.stage(.block())
            await expect(.failedPrecondition, directory) {
                try await volume.driver.publish(volume.id, from: directory, at: volume.target, .block())
            }
            try await volume.unstage()
            await expect(.failedPrecondition, volume.staging) { try await volume.publish(.block()) }
            #expect(!exists(volume.target))
        }
    }

    @Test("a target that is a directory, or something else's mount, is left alone")
    func targets() async throws {
        try await withRealVolume { volume, directory in
            try await volume.stage(.block())
            let target = try makeDirectory(volume.target)
            await expect(.invalidArgument, target) { try await volume.publish(.block()) }
            #expect(mount("none", target, "tmpfs", 0, nil) == 0)
            await expect(.failedPrecondition, target) { try await volume.publish(.block()) }
            await expect(.failedPrecondition, target) { try await volume.unpublish() }
            #expect(umount2(target, 0) == 0)
            await expect(.failedPrecondition, "parent") { try await volume.publish(at: "\(directory)/a/b", .block()) }
        }
    }

    @Test("a volume that is still published is neither unstaged nor deleted", arguments: [true, false])
    func stillPublished(isBlock: Bool) async throws {
        try await withRealVolume { volume, _ in
            let capability = isBlock ? Csi_V1_VolumeCapability.block() : .mount()
            try await volume.stage(capability)
            try await volume.publish(capability)
            await expect(.failedPrecondition, volume.target) {
                try await volume.driver.unstage(volume.id, at: volume.staging)
            }
            await expect(.failedPrecondition, volume.id) { try await volume.driver.delete(volume.id) }
            try await volume.publish(capability)
            try await volume.unpublish()
            await expect(.failedPrecondition, volume.id) { try await volume.driver.delete(volume.id) }
            try await volume.unstage()
            try await volume.driver.delete(volume.id)
        }
    }

    private func isWritable(_ path: String) -> Bool {
        do {
            try write([1], to: path)
            return true
        } catch {
            return false
        }
    }
}
