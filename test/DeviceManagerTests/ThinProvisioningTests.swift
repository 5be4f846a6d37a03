import LVM
import Testing

@testable import DeviceManager

@Suite struct ThinProvisioningTests {
    private static let mib: UInt64 = 1 << 20
    private static let extent = LVM.extentSize
    private static let name = "ndbus0region0fsdax"
    private static let ids = ["a", "b"].map { VolumeID(name: $0, node: "n") }

    @Test(
        "a pool takes its share of the free space in whole extents, and its tables the rest at most",
        arguments: [
            (50, 4072 * mib, 2036 * mib, 16 * mib), (50, 1 << 40, 512 << 30, 512 * mib),
            (100, 1024 * mib, 1008 * mib, 16 * mib), (1, 100 * mib, nil, nil), (50, 16 * mib, nil, nil),
            (50, 44 * mib, 20 * mib, 16 * mib), (100, .max, 15 << 40, 15 << 30), (50, 0, nil, nil),
        ] as [(Int, UInt64, UInt64?, UInt64?)])
    func plan(percent: Int, free: UInt64, data: UInt64?, tables: UInt64?) {
        let plan = ThinProvisioning(poolPercent: percent).plan(free: free, extent: Self.extent)
        #expect(plan?.data == data)
        #expect(plan?.tables == tables)
        if let plan { #expect(plan.data + plan.tables <= free) }
    }

    @Test(
        "over-commit lets the volumes be larger together than their pool",
        arguments: [(1.0, 100 * mib, 100 * mib), (2.5, 100 * mib, 250 * mib), (1000, .max, .max)]
            as [(Double, UInt64, UInt64)])
    func limit(overcommit: Double, size: UInt64, limit: UInt64) {
        #expect(ThinProvisioning(overcommit: overcommit).limit(ofPool: size) == limit)
    }

    private func groups(_ volumes: [LogicalVolume], free: UInt64 = 400 * mib, overcommit: Double = 1) -> PMEMGroups {
        let group = VolumeGroup(
            name: Self.name, tags: ["fsdax"], size: 1000 * Self.mib, free: free, logicalVolumes: volumes)
        return PMEMGroups(reported: [group], thin: ThinProvisioning(overcommit: overcommit))
    }

    private var pool: LogicalVolume {
        LogicalVolume(name: ThinProvisioning.poolName, size: 200 * Self.mib, isPool: true)
    }

    private func volume(_ index: Int, size: UInt64) -> LogicalVolume {
        LogicalVolume(name: Self.ids[index].rawValue, size: size, pool: ThinProvisioning.poolName)
    }

    private func parameters(_ provisioning: Provisioning = .thin) -> VolumeParameters {
        var parameters = VolumeParameters()
        parameters.provisioning = provisioning
        return parameters
    }

    private func spec(_ size: UInt64) -> VolumeSpec {
        VolumeSpec(id: Self.ids[0], name: "a", size: SizeRange(required: size), parameters: parameters())
    }

    @Test("without a pool, room is what the pool would get")
    func prospective() throws {
        let groups = groups([])
        let capacity = groups.capacity(for: parameters())
        #expect(capacity.available == 200 * Self.mib && capacity.maximumVolumeSize == 200 * Self.mib)
        #expect(try groups.bestFit(spec(200 * Self.mib)) == Self.name)
        #expect(try groups.bestFit(spec(200 * Self.mib + 1)) == nil)
        #expect(groups.groupsWithEmptyPool.isEmpty)
    }

    @Test("the sizes of a pool's volumes count in full, however little they have taken, and no thick room")
    func used() throws {
        let groups = groups([pool, volume(0, size: 60 * Self.mib), volume(1, size: 40 * Self.mib)])
        let capacity = groups.capacity(for: parameters())
        #expect(capacity.available == 100 * Self.mib && capacity.total == 200 * Self.mib)
        #expect(groups.capacity(for: parameters(.thick)).available == 400 * Self.mib)
        #expect(try groups.size(of: spec(100 * Self.mib), in: Self.name) == 100 * Self.mib)
        #expect(try groups.size(of: spec(101 * Self.mib), in: Self.name) == nil)
        let error = groups.noRoom(for: spec(101 * Self.mib), in: Self.name)
        #expect(error.message.contains("\(100 * Self.mib) free") && error.message.contains("thin"))
    }

    @Test("with over-commit there is more room, and a pool that is overfull has none")
    func overcommitted() {
        let volumes = [pool, volume(0, size: 300 * Self.mib)]
        #expect(groups(volumes, overcommit: 2).capacity(for: parameters()).available == 100 * Self.mib)
        #expect(groups(volumes).capacity(for: parameters()).available == 0)
    }

    @Test("own changes to thin volumes leave the group's free space as it is")
    func changes() throws {
        var groups = groups([pool])
        let volume = Volume(id: Self.ids[0], size: 60 * Self.mib, location: Self.name)
        #expect(groups.groupsWithEmptyPool == [Self.name])
        groups.add(volume, tags: [], provisioning: .thin)
        groups.resize(Self.ids[0], in: Self.name, to: 80 * Self.mib)
        #expect(groups.groupsWithEmptyPool.isEmpty)
        #expect(groups.capacity(for: parameters()).available == 120 * Self.mib)
        groups.remove(volume)
        #expect(groups.capacity(for: parameters()).available == 200 * Self.mib)
        #expect(groups.capacity(for: parameters(.thick)).available == 400 * Self.mib)
        // lvcreate and lvremove of a thin volume commit twice, lvextend once.
        let entry = try #require(groups.entries[Self.name])
        #expect(entry.group.sequenceNumber == 1 + 2 + 1 + 2)
    }

    @Test(
        "a volume grows into the room of its kind",
        arguments: [
            (false, 100, 500, nil), (false, 100, 501, .notEnoughSpace), (true, 100, 200, nil),
            (true, 100, 201, .notEnoughSpace),
        ] as [(Bool, UInt64, UInt64, DeviceError.Code?)])
    func growth(isThin: Bool, from: UInt64, to: UInt64, code: DeviceError.Code?) throws {
        let volume = LogicalVolume(
            name: Self.ids[0].rawValue, size: from * Self.mib, pool: isThin ? ThinProvisioning.poolName : nil)
        let groups = groups([pool, volume])
        let range = SizeRange(required: to * Self.mib)
        if let code {
            let error = #expect(throws: DeviceError.self) { try groups.size(of: volume, in: Self.name, grownTo: range) }
            #expect(error?.code == code)
        } else {
            #expect(try groups.size(of: volume, in: Self.name, grownTo: range) == to * Self.mib)
        }
    }

    @Test("what was to become a pool is known by name and tag, a pool or a volume of others is not")
    func unfinished() {
        let tags = VolumeTags(driver: "d")
        let parts = [ThinProvisioning.poolName, ThinProvisioning.tablesName]
        let left = groups(parts.map { LogicalVolume(name: $0, size: 4, tags: [tags.pool]) })
        #expect(left.unfinishedPools(tags).map(\.name) == parts)
        #expect(groups(parts.map { LogicalVolume(name: $0, size: 4) }).unfinishedPools(tags).isEmpty)
        #expect(groups([pool]).unfinishedPools(tags).isEmpty)
        #expect(groups([LogicalVolume(name: "x", size: 4, tags: [tags.pool])]).unfinishedPools(tags).isEmpty)
    }

    @Test(
        "tags say what a device is and what it was copied from",
        arguments: [
            (.volume, nil), (.ephemeral, nil), (.snapshot, .volume("v-1")), (.volume, .volume("v-1")),
            (.volume, .snapshot("s-1")),
        ] as [(VolumeRecord.Kind, VolumeRecord.Source?)])
    func tags(kind: VolumeRecord.Kind, source: VolumeRecord.Source?) throws {
        let spec = VolumeSpec(
            id: Self.ids[0], name: "a", size: SizeRange(required: 1), parameters: parameters(), kind: kind,
            source: source)
        let tags = VolumeTags(driver: "d")
        let logical = LogicalVolume(
            name: Self.ids[0].rawValue, size: 4, tags: tags.tags(of: spec), pool: ThinProvisioning.poolName)
        let record = try #require(groups([pool, logical]).rebuiltRecords(tags).first)
        #expect(record.kind == kind)
        #expect(record.source == source)
        #expect(record.parameters.provisioning == .thin)
    }
}
