import FoundationEssentials
import Glibc
import TestSupport
import Testing

@testable import LVM

/// The real `lvm` on loop devices, which are all that it may see. Metadata only, because this runs on kernels without
/// device-mapper too.
@Suite(.enabled(if: getuid() == 0), .serialized, .timeLimit(.minutes(2))) struct LVMCommandTests {
    private let devices: [LoopDevice]
    private let locks: TemporaryDirectory
    private let lvm: LVM

    init() throws {
        devices = try (0..<2).map { _ in try LoopDevice(size: 256 << 20) }
        locks = try TemporaryDirectory()
        var settings = LVM.Settings()
        settings.devices = devices.map(\.path)
        settings.lockDirectory = locks.path
        settings.deviceMapper = false
        lvm = LVM(settings: settings)
    }

    private func makeGroup() async throws {
        try await lvm.createGroup("g0", devices: [devices[0].path], tags: ["fsdax"])
    }

    private func create(_ name: String, in group: String = "g0", size: UInt64 = 4 << 20) async throws {
        try await lvm.createVolume(group: group, name: name, size: size, tags: [])
    }

    private func number() throws -> UInt64 {
        try MetadataSequence.read(device: devices[0].path).number
    }

    private func code(_ body: () async throws -> Void) async -> LVMError.Code? {
        await #expect(throws: LVMError.self) { try await body() }?.code
    }

    @Test func `a group has the geometry that DAX and many volumes need`() async throws {
        try await makeGroup()
        let report = try await lvm.report()
        let group = try #require(report.groups.first)
        #expect(group.tags == ["fsdax"])
        #expect(group.extentSize == LVM.extentSize)
        #expect(group.size == group.free)
        let volume = try #require(group.physicalVolumes.first)
        #expect(volume.device == devices[0].path)
        #expect(volume.dataStart == LVM.dataStart)
        #expect(volume.metadataSize >= 16 << 20)
        #expect(report.unusedPhysicalVolumes == [])
    }

    @Test func `each change of a group adds one to its sequence number, and nothing else does`() async throws {
        try await makeGroup()
        let group = try #require(try await lvm.groups().first)
        let sequence = try MetadataSequence.read(device: devices[0].path)
        #expect(sequence == MetadataSequence(group: "g0", groupID: group.id, number: group.sequenceNumber))
        try await lvm.createVolume(group: "g0", name: "a", size: 5_000_001, tags: ["t1", "t2"])
        #expect(try number() == sequence.number + 1)
        #expect(await code { try await create("b", size: 1 << 40) } == .notEnoughSpace)
        #expect(try number() == sequence.number + 1)
        try await lvm.extendGroup("g0", devices: [devices[1].path])
        #expect(try number() == sequence.number + 2)
        #expect(try MetadataSequence.read(device: devices[1].path).number == sequence.number + 2)
        try await lvm.extendVolume(group: "g0", name: "a", size: 12 << 20)
        #expect(try await lvm.groups().first?.volume("a")?.size == 12 << 20)
        #expect(await code { try await lvm.extendVolume(group: "g0", name: "a", size: 1 << 40) } == .notEnoughSpace)
        #expect(try number() == sequence.number + 3)
        try await lvm.changeTags(group: "g0", name: "a", add: ["t3"], remove: ["t1"])
        #expect(try number() == sequence.number + 4)
        try await lvm.removeVolume(group: "g0", name: "a")
        #expect(try number() == sequence.number + 5)
    }

    @Test func `the number stays right when the text goes round its ring`() async throws {
        // The smallest area that LVM makes: the texts of some thirty changes fill it.
        try await lvm.run(["pvcreate", "--metadatasize", "32k", "--dataalignment", "4k", devices[0].path])
        try await makeGroup()
        let start = try number()
        for count in 1...64 {
            try await lvm.addGroupTag("tag\(count % 4)", group: "g0")
            #expect(try number() == start + UInt64(count))
        }
    }

    @Test func `a volume has the size, tags and name it was asked for`() async throws {
        try await makeGroup()
        try await lvm.createVolume(group: "g0", name: "a-b.c", size: 5_000_001, tags: ["driver=x", "t2"])
        let volume = try #require(try await lvm.groups().first?.volume("a-b.c"))
        #expect(volume.size == 8 << 20)
        #expect(Set(volume.tags) == ["driver=x", "t2"])
    }

    @Test func `what is there, gone or impossible has its code`() async throws {
        try await makeGroup()
        try await lvm.createVolume(group: "g0", name: "a", size: 4 << 20, tags: [])
        #expect(await code { try await create("a") } == .alreadyExists)
        #expect(await code { try await create("-x") } == .invalidArgument)
        #expect(await code { try await create("z", size: 0) } == .invalidArgument)
        #expect(await code { try await create("a", in: "g1") } == .notFound)
        try await lvm.removeVolume(group: "g0", name: "a")
        #expect(await code { try await lvm.removeVolume(group: "g0", name: "a") } == .notFound)
        #expect(await code { try await lvm.removeVolume(group: "g1", name: "a") } == .notFound)
        #expect(await code { try await lvm.createGroup("g0", devices: [devices[1].path], tags: []) } == .alreadyExists)
        #expect(await code { try await lvm.createGroup("g2", devices: [devices[0].path], tags: []) } == .inUse)
    }

    @Test func `many callers at once get their turn`() async throws {
        try await makeGroup()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<6 {
                group.addTask { try await lvm.createVolume(group: "g0", name: "v\(index)", size: 1, tags: []) }
            }
            try await group.waitForAll()
        }
        #expect(try await lvm.groups().first?.logicalVolumes.count == 6)
    }

    @Test func `a device with a file system is refused and keeps it`() async throws {
        let handle = open(devices[0].path, O_RDWR | O_CLOEXEC)
        defer { close(handle) }
        // ext4's magic number and block size, all that a prober looks for.
        var superblock = [UInt8](repeating: 0, count: 1024)
        superblock[56] = 0x53
        superblock[57] = 0xef
        #expect(pwrite(handle, superblock, 1024, 1024) == 1024)
        fsync(handle)
        #expect(await code { try await makeGroup() } == .foreignSignature)
        #expect(await code { try await lvm.createPhysicalVolume(device: devices[0].path) } == .foreignSignature)
        var after = [UInt8](repeating: 0, count: 1024)
        #expect(pread(handle, &after, 1024, 1024) == 1024)
        #expect(after == superblock)
        #expect(try PhysicalVolumeLabel.read(device: devices[0].path) == nil)
    }

    @Test func `a physical volume without a group says what it held before`() async throws {
        let device = devices[0].path
        #expect(await code { _ = try MetadataSequence.read(device: device) } == .notFound)
        try await lvm.createPhysicalVolume(device: device)
        let fresh = try #require(try PhysicalVolumeLabel.read(device: device))
        #expect(fresh.dataStart == LVM.dataStart)
        #expect(fresh.sequence == nil)
        #expect(fresh.former == nil)
        #expect(!fresh.isMarkedUsed)
        #expect(try await lvm.report().unusedPhysicalVolumes.map(\.device) == [device])
        try await makeGroup()
        try await lvm.run(["vgremove", "g0"])
        #expect(try PhysicalVolumeLabel.read(device: device)?.former?.group == "g0")
        #expect(await code { _ = try MetadataSequence.read(device: device) } == .notFound)
    }

    @Test func `a physical volume that a killed vgcreate left marked as used can be made anew`() async throws {
        let device = devices[0].path
        try await makeGroup()
        try uncommit(device)
        let label = try #require(try PhysicalVolumeLabel.read(device: device))
        #expect(label.sequence == nil)
        #expect(label.former?.group == "g0")
        #expect(label.former?.number == 1)
        #expect(label.isMarkedUsed)
        #expect(await code { try await makeGroup() } == .failed)
        try await lvm.recreatePhysicalVolume(device: device)
        try await makeGroup()
        #expect(try number() == 1)
    }

    /// Takes the place of the committed text out of the metadata area's header: what a kill before the commit leaves.
    private func uncommit(_ device: String) throws {
        let handle = open(device, O_RDWR | O_CLOEXEC)
        defer { close(handle) }
        var header = [UInt8](repeating: 0, count: 512)
        try #require(pread(handle, &header, 512, 4096) == 512)
        header.replaceSubrange(40..<64, with: repeatElement(0, count: 24))
        let sum = try ByteReader(bytes: header, device: device).checksum(4..<512)
        header.replaceSubrange(0..<4, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) })
        try #require(pwrite(handle, header, 512, 4096) == 512)
        fsync(handle)
    }
}
