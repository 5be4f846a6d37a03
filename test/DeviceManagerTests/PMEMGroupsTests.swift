import TestSupport
import Testing

@testable import DeviceManager
@testable import LVM

@Suite struct PMEMGroupsTests {
    private static let mib: UInt64 = 1 << 20
    private static let id = VolumeID(name: "a", node: "n")
    private static let thin = ThinProvisioning()

    private static func parameters(_ mode: NamespaceMode) -> VolumeParameters {
        var parameters = VolumeParameters()
        parameters.mode = mode
        return parameters
    }

    private func group(
        _ name: String, tags: [String], free: UInt64 = 100 * mib, devices: [PhysicalVolume] = [],
        volumes: [LogicalVolume] = []
    ) -> VolumeGroup {
        VolumeGroup(
            name: name, id: name, tags: tags, size: 200 * Self.mib, free: free, sequenceNumber: 7,
            physicalVolumes: devices, logicalVolumes: volumes)
    }

    private func spec(_ size: UInt64, _ mode: NamespaceMode = .fsdax) -> VolumeSpec {
        VolumeSpec(id: Self.id, name: "a", size: SizeRange(required: size), parameters: Self.parameters(mode))
    }

    @Test(
        "groups count whose name and tag say the same mode",
        arguments: [
            ("ndbus0region0fsdax", ["fsdax"], true), ("ndbus12region345sector", ["x", "sector"], true),
            ("ndbus0region0fsdax", ["sector"], false), ("ndbus0region0fsdax", [], false),
            ("ndbus0region0fsdax", ["fsdax-old"], false), ("xndbus0region0fsdax", ["fsdax"], false),
            ("ndbus0region0fsdaxx", ["fsdax"], false), ("ndbusregionfsdax", ["fsdax"], false),
            ("debian", ["fsdax"], false),
        ])
    func ours(name: String, tags: [String], isOurs: Bool) {
        let groups = PMEMGroups(reported: [group(name, tags: tags)], thin: Self.thin)
        #expect(groups.isEmpty != isOurs)
        #expect(groups.contains(name) == isOurs)
    }

    @Test("room is that of the groups of the mode")
    func capacity() {
        let groups = PMEMGroups(
            reported: [
                group("ndbus0region0fsdax", tags: ["fsdax"], free: 60 * Self.mib),
                group("ndbus0region1fsdax", tags: ["fsdax"], free: 40 * Self.mib),
                group("ndbus0region0sector", tags: ["sector"], free: 8 * Self.mib),
                group("foreign", tags: ["fsdax"], free: 1 << 40),
            ], thin: Self.thin)
        let fsdax = groups.capacity(for: Self.parameters(.fsdax))
        #expect(fsdax.available == 100 * Self.mib && fsdax.maximumVolumeSize == 60 * Self.mib)
        #expect(fsdax.total == 400 * Self.mib && fsdax.minimumVolumeSize == 4 * Self.mib)
        #expect(groups.capacity(for: Self.parameters(.sector)).available == 8 * Self.mib)
        #expect(PMEMGroups(reported: [], thin: Self.thin).capacity(for: Self.parameters(.fsdax)).available == 0)
    }

    @Test(
        "the group with the least room that is enough is taken",
        arguments: [
            (1, "ndbus0region1fsdax"), (40 * mib, "ndbus0region1fsdax"), (40 * mib + 1, "ndbus0region0fsdax"),
            (60 * mib, "ndbus0region0fsdax"), (60 * mib + 1, nil), (1 << 62, nil),
        ] as [(UInt64, String?)])
    func bestFit(size: UInt64, expected: String?) throws {
        let groups = PMEMGroups(
            reported: [
                group("ndbus0region0fsdax", tags: ["fsdax"], free: 60 * Self.mib),
                group("ndbus0region1fsdax", tags: ["fsdax"], free: 40 * Self.mib),
                group("ndbus0region0sector", tags: ["sector"], free: 199 * Self.mib),
            ], thin: Self.thin)
        #expect(try groups.bestFit(spec(size)) == expected)
        let error = groups.noRoom(for: spec(size))
        #expect(error.code == .notEnoughSpace && error.message.contains("\(60 * Self.mib)"))
    }

    @Test("a group of which a device is missing has no room")
    func incomplete() throws {
        let device = PhysicalVolume(device: "[unknown]", isMissing: true)
        let groups = PMEMGroups(
            reported: [group("ndbus0region0fsdax", tags: ["fsdax"], devices: [device])], thin: Self.thin)
        #expect(try groups.bestFit(spec(1)) == nil)
        #expect(groups.capacity(for: Self.parameters(.fsdax)).available == 0)
        #expect(groups.contains("ndbus0region0fsdax"))
    }

    @Test("the size is a multiple of the group's own extents")
    func extents() throws {
        let other = VolumeGroup(
            name: "ndbus0region0fsdax", tags: ["fsdax"], size: 256 * Self.mib, free: 256 * Self.mib,
            extentSize: 32 * Self.mib)
        let groups = PMEMGroups(reported: [other], thin: Self.thin)
        #expect(try groups.size(of: spec(5 * Self.mib), in: other.name) == 32 * Self.mib)
        #expect(try groups.size(of: spec(257 * Self.mib), in: other.name) == nil)
    }

    @Test("a volume that two groups have is found in each, not in either by chance")
    func twice() {
        let volume = LogicalVolume(name: Self.id.rawValue, size: 4)
        let names = ["ndbus0region0fsdax", "ndbus0region1fsdax"]
        let groups = PMEMGroups(reported: names.map { group($0, tags: ["fsdax"], volumes: [volume]) }, thin: Self.thin)
        #expect(groups.find(Self.id, in: nil).count == 2)
        for name in names { #expect(groups.find(Self.id, in: name).map(\.location) == [name]) }
    }

    @Test("own changes are counted without a report")
    func changes() throws {
        let name = "ndbus0region0fsdax"
        var groups = PMEMGroups(reported: [group(name, tags: ["fsdax"])], thin: Self.thin)
        let volume = Volume(id: Self.id, size: 40 * Self.mib, location: name)
        groups.add(volume, tags: ["csi.driver=d"], provisioning: .thick)
        #expect(groups.find(Self.id, in: nil) == [volume])
        #expect(groups.capacity(for: Self.parameters(.fsdax)).available == 60 * Self.mib)
        #expect(groups.logicalVolumes.map(\.volume.tags) == [["csi.driver=d"]])
        groups.resize(Self.id, in: name, to: 60 * Self.mib)
        #expect(groups.find(Self.id, in: name).map(\.size) == [60 * Self.mib])
        #expect(groups.capacity(for: Self.parameters(.fsdax)).available == 40 * Self.mib)
        groups.setTags(["t"], of: Self.id, in: name)
        #expect(groups.logicalVolumes.map(\.volume.tags) == [["t"]])
        groups.remove(volume)
        let entry = try #require(groups.entries[name])
        #expect(entry.group.sequenceNumber == 7 + 4)
        #expect(groups.find(Self.id, in: nil).isEmpty)
        #expect(groups.capacity(for: Self.parameters(.fsdax)).available == 100 * Self.mib)
    }

    @Test("volumes of others are not found as ours, and records are rebuilt only for those with our tag")
    func foreign() throws {
        let other = VolumeID(name: "b", node: "n")
        let volumes = [
            LogicalVolume(name: "swap", size: 1),
            LogicalVolume(name: Self.id.rawValue, size: 2, tags: ["csi.driver=d"]),
            LogicalVolume(name: other.rawValue, size: 3, tags: ["csi.driver=other"]),
            LogicalVolume(
                name: VolumeID(name: "c", node: "n").rawValue, size: 4, tags: ["csi.driver=d", "csi.eraseafter=false"]),
        ]
        let groups = PMEMGroups(
            reported: [group("ndbus0region0sector", tags: ["sector"], volumes: volumes)], thin: Self.thin)
        #expect(groups.find(other, in: nil).map(\.size) == [3])
        let records = groups.rebuiltRecords(VolumeTags(driver: "d")).sorted { $0.size < $1.size }
        #expect(records.map(\.size) == [2, 4])
        #expect(records.map(\.parameters.eraseAfter) == [true, false])
        #expect(records.allSatisfy { $0.parameters.mode == .sector && $0.format == .unknown && $0.phase == .ready })
        #expect(records.allSatisfy { $0.location == "ndbus0region0sector" && $0.name.isEmpty })
    }

    @Test("a small metadata area is warned about with its limit", arguments: [(1 << 20, true), (16 << 20, false)])
    func warnings(size: UInt64, isWarned: Bool) {
        let device = PhysicalVolume(device: "/dev/pmem7", metadataSize: size)
        let groups = PMEMGroups(
            reported: [group("ndbus0region0fsdax", tags: ["fsdax"], devices: [device])], thin: Self.thin)
        #expect(groups.warnings.contains { $0.contains("/dev/pmem7") && $0.contains("1736") } == isWarned)
    }

    @Test("groups whose devices cannot be read are not current")
    func current() async {
        let device = PhysicalVolume(device: "/nonexistent")
        let groups = PMEMGroups(
            reported: [group("ndbus0region0fsdax", tags: ["fsdax"], devices: [device])], thin: Self.thin)
        #expect(await groups.areCurrent() == false)
    }
}
