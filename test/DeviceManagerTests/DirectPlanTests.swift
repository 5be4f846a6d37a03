import Ndctl
import Testing

@testable import DeviceManager

private let mib: UInt64 = 1 << 20
private let gib: UInt64 = 1 << 30
private let tib: UInt64 = 1 << 40
private let start: UInt64 = 4 * gib

private func namespace(_ offset: UInt64, _ size: UInt64, _ name: String = "other") -> Namespace {
    Namespace(
        devname: "namespace0.\(offset >> 20)", alternateName: name, mode: .fsdax, size: size, rawSize: size,
        resource: start + offset, isActive: true, blockDevice: "pmem0", uuid: nil, sectorSize: 512)
}

/// A region whose namespaces, in the order of their addresses, leave the rest free, as a kernel would report it.
private func region(
    _ number: UInt32 = 0, _ size: UInt64 = 3968 * mib, _ namespaces: [Namespace] = [], ways: UInt32 = 1,
    align: UInt64? = 16 * mib, isReadOnly: Bool = false, isEnabled: Bool = true, hasLabels: Bool = true, numa: Int? = 0,
    halfMade: String? = nil, set: UInt64? = nil
) -> Region {
    var position = start
    var free: [UInt64] = []
    for namespace in namespaces {
        free.append((namespace.resource ?? 0) - position)
        position = (namespace.resource ?? 0) + namespace.rawSize
    }
    free.append(start + size - position)
    let unit = align ?? 96 * mib
    return Region(
        bus: "ndbus0", devname: "region\(number)", id: number, size: size, availableSize: free.reduce(0, +),
        maxAvailableExtent: free.map { $0 - $0 % unit }.max() ?? 0, resource: start, interleaveSet: set,
        isEnabled: isEnabled, isReadOnly: isReadOnly, hasLabels: hasLabels, interleaveWays: ways, regionAlign: align,
        numaNode: numa, halfMade: halfMade, namespaces: namespaces)
}

private func parameters(
    _ mode: NamespaceMode = .fsdax, _ pageMap: PageMap = .dev, region: String? = nil, numa: Int? = nil
) -> VolumeParameters {
    var parameters = VolumeParameters()
    parameters.mode = mode
    var namespace = NamespaceParameters()
    (namespace.pageMap, namespace.region, namespace.numaNode) = (pageMap, region, numa)
    parameters.namespace = namespace
    return parameters
}

private func spec(_ size: UInt64, limit: UInt64? = nil, _ parameters: VolumeParameters = parameters()) -> VolumeSpec {
    VolumeSpec(
        id: VolumeID(name: "a", node: "n"), name: "a", size: SizeRange(required: size, limit: limit),
        parameters: parameters)
}

@Suite struct NamespaceLayoutTests {
    /// Sizes of block devices that Linux 6.1 gave to namespaces of these raw sizes.
    @Test(
        "usable bytes are those of the kernel's block devices",
        arguments: [
            (16 * mib, .fsdax, .dev, 14_680_064), (32 * mib, .fsdax, .dev, 31_457_280),
            (272 * mib, .fsdax, .dev, 278_921_216), (3968 * mib, .fsdax, .dev, 4_093_640_704),
            (112 * mib, .fsdax, .mem, 115_343_360), (3968 * mib, .fsdax, .mem, 4_158_652_416),
            (32 * mib, .sector, .dev, 32_440_320), (80 * mib, .sector, .dev, 82_722_816),
            (2960 * mib, .sector, .dev, 3_099_672_576), (16 * mib, .sector, .dev, 0), (2 * mib, .fsdax, .dev, 0),
            (0, .fsdax, .mem, 0), (0, .sector, .dev, 0),
        ] as [(UInt64, NamespaceMode, PageMap, UInt64)])
    func usable(raw: UInt64, mode: NamespaceMode, pageMap: PageMap, expected: UInt64) {
        #expect(NamespaceLayout(parameters(mode, pageMap)).usable(ofRaw: raw) == expected)
    }

    @Test(
        "the raw size is aligned, gives what is asked for, and one unit less would not",
        arguments: [1, mib, 14 * mib, 14 * mib + 1, 62 * mib, 64 * mib, gib, 100 * gib + 1, 511 * gib, 6 * tib],
        [(1, 16 * mib), (3, 16 * mib), (4, 16 * mib), (6, nil), (12, 2 * mib)] as [(UInt32, UInt64?)])
    func raw(usable: UInt64, _ geometry: (ways: UInt32, align: UInt64?)) throws {
        let region = region(ways: geometry.ways, align: geometry.align)
        for mode in NamespaceMode.allCases {
            for pageMap in PageMap.allCases {
                let layout = NamespaceLayout(parameters(mode, pageMap))
                let raw = try #require(layout.raw(forUsable: usable, in: region))
                #expect(raw % region.alignment == 0)
                #expect(layout.usable(ofRaw: raw) >= usable)
                #expect(layout.usable(ofRaw: raw - region.alignment) < usable)
            }
        }
    }

    @Test("sizes near the end of 64 bits have no raw size, and do not overflow", arguments: [UInt64.max, .max - gib])
    func overflow(usable: UInt64) {
        for mode in NamespaceMode.allCases {
            #expect(NamespaceLayout(parameters(mode)).raw(forUsable: usable, in: region()) == nil)
        }
    }
}

/// Six ways, at an address that is no multiple of what the kernel aligns by.
@Suite struct RegionExtentTests {
    private static let unit: UInt64 = 96 * mib
    private static let start: UInt64 = 13 * gib

    private static func namespace(_ index: UInt64) -> Namespace {
        Namespace(
            devname: "namespace0.\(index)", alternateName: "other", mode: .fsdax, size: unit, rawSize: unit,
            resource: start + index * unit, isActive: true, blockDevice: "pmem0", uuid: nil, sectorSize: 512)
    }

    /// Ten units, of which those of the namespaces are taken.
    private static func region(_ taken: [UInt64], largest: UInt64, halfMade: String? = nil) -> Region {
        Region(
            bus: "ndbus0", devname: "region0", size: 10 * unit, availableSize: (10 - UInt64(taken.count)) * unit,
            maxAvailableExtent: largest * unit, resource: start, interleaveWays: 6, regionAlign: unit,
            halfMade: halfMade, namespaces: taken.map(namespace))
    }

    @Test("each gap is as large as the kernel says, wherever the region starts")
    func extents() {
        #expect(Self.region([2, 3, 4], largest: 5).freeExtents == [2 * Self.unit, 5 * Self.unit])
        #expect(Self.region([0, 9], largest: 8).freeExtents == [8 * Self.unit])
    }

    @Test("so are those that there will be when namespaces are gone")
    func removing() {
        let region = Self.region([2, 5], largest: 4)
        #expect(region.removing(["namespace0.2"]).freeExtents == [5 * Self.unit, 4 * Self.unit])
        #expect(region.removing(["namespace0.2", "namespace0.5"]).maxAvailableExtent == 10 * Self.unit)
        #expect(region.removing(["namespace0.7"]) == region)
    }

    @Test("a half-made namespace is no obstacle any more when it is gone")
    func halfMade() {
        let region = Self.region([2, 5], largest: 4, halfMade: "namespace0.5")
        #expect(region.obstacle?.contains("`ndctl enable-namespace namespace0.5`") == true)
        #expect(region.obstacle?.contains("`ndctl destroy-namespace namespace0.5`") == true)
        #expect(region.removing(["namespace0.2"]).obstacle == region.obstacle)
        #expect(region.removing(["namespace0.5"]).obstacle == nil)
    }
}

@Suite struct NamespaceFindingTests {
    @Test(
        "namespaces that no record can be made of are named with a remedy",
        arguments: [
            (.fsdax, true, nil), (.sector, true, nil), (.raw, true, "ndctl destroy-namespace -f namespace0.0"),
            (.fsdax, false, "ndctl enable-namespace namespace0.0"),
            (.raw, false, "ndctl enable-namespace namespace0.0"),
        ] as [(Namespace.Mode, Bool, String?)])
    func omission(mode: Namespace.Mode, isActive: Bool, remedy: String?) {
        let namespace = Namespace(
            devname: "namespace0.0", alternateName: "a", mode: mode, size: gib, rawSize: gib, resource: start,
            isActive: isActive, blockDevice: nil, uuid: nil, sectorSize: 512)
        let omission = NamedNamespace(region: "region0", namespace: namespace).omission
        #expect((omission == nil) == (remedy == nil))
        if let remedy { #expect(omission?.contains("`\(remedy)`") == true) }
    }

    /// region0 of a record, where what is here now has the sets 7 and 8.
    @Test(
        "a region is that of the interleave set, whatever its number; older records have the number alone",
        arguments: [
            ("region0/7", "region0"), ("region0/8", "region1"), ("region5/7", "region0"), ("region0/9", nil),
            ("region1", "region1"), ("region2", nil),
        ] as [(String, String?)])
    func recorded(location: String, expected: String?) throws {
        let regions = [region(0, set: 7), region(1, set: 8)]
        let id = VolumeID(name: "a", node: "n")
        if let expected {
            #expect(try regions.region(location, for: id).devname == expected)
        } else {
            let error = #expect(throws: DeviceError.self) { try regions.region(location, for: id) }
            #expect(error?.code == .unavailable)
        }
    }

    @Test("what a record says of a region is read as it was written", arguments: [nil, 1, 0xface_0000_0000_0001, .max])
    func location(set: UInt64?) {
        let location = RegionLocation(devname: "region12", interleaveSet: set)
        #expect(RegionLocation(location.text).devname == "region12")
        #expect(RegionLocation(location.text).interleaveSet == set)
        #expect(ManagerKind(location: location.text) == .direct)
    }
}

@Suite struct DirectPlanTests {
    /// Free are 16, 32 and 48 MiB, with others' namespaces between.
    private static let pieces = region(
        0, 1024 * mib,
        [namespace(16 * mib, 464 * mib), namespace(512 * mib, 464 * mib)])

    @Test("the maximum is in one piece, what is available is the sum of the pieces")
    func capacity() {
        let capacity = DirectPlan([Self.pieces, region(1, gib)]).capacity(for: parameters())
        let layout = NamespaceLayout(parameters())
        #expect(capacity.maximumVolumeSize == layout.usable(ofRaw: gib))
        let pieces = [16, 32, 48].map { layout.usable(ofRaw: $0 * mib) }.reduce(0, +)
        #expect(capacity.available == pieces + layout.usable(ofRaw: gib))
        #expect(capacity.minimumVolumeSize == 14 * mib)
        #expect(RegionSpace(Self.pieces, layout).pieces == [16 * mib, 32 * mib, 48 * mib])
        #expect(RegionSpace(Self.pieces, layout).maximum == layout.usable(ofRaw: 48 * mib))
    }

    @Test("a volume of the maximum size fits, one byte more does not", arguments: NamespaceMode.allCases)
    func maximum(mode: NamespaceMode) throws {
        let plan = DirectPlan([Self.pieces])
        let maximum = plan.capacity(for: parameters(mode)).maximumVolumeSize
        #expect(try plan.place(spec(maximum, parameters(mode))).devname == "region0")
        let error = #expect(throws: DeviceError.self) { _ = try plan.place(spec(maximum + 1, parameters(mode))) }
        #expect(error?.code == .notEnoughSpace)
        #expect(error?.message.contains("in 3 pieces") == true)
    }

    struct Choice: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let regions: [Region]
        let spec: VolumeSpec
        let expected: String?
        var code: DeviceError.Code?
        var words: [String] = []
    }

    static let choices: [Choice] = [
        Choice(
            testDescription: "the fuller region, where less stays", regions: [region(0, gib), region(1, 512 * mib)],
            spec: spec(256 * mib), expected: "region1"),
        Choice(
            testDescription: "of two alike the first", regions: [region(0), region(1)], spec: spec(gib),
            expected: "region0"),
        Choice(
            testDescription: "the piece that the kernel takes counts, not the best one",
            // Of region0 the kernel would take the first piece of 512 MiB, although one of 64 MiB is there.
            regions: [region(0, gib, [namespace(512 * mib, 448 * mib)]), region(1, 256 * mib)], spec: spec(62 * mib),
            expected: "region1"),
        Choice(
            testDescription: "a region that is too small is passed over", regions: [region(0, 64 * mib), region(1)],
            spec: spec(gib), expected: "region1"),
        Choice(
            testDescription: "a region whose spare namespace is half made is passed over",
            regions: [region(0, 512 * mib, halfMade: "namespace0.3"), region(1, gib)], spec: spec(256 * mib),
            expected: "region1"),
        Choice(
            testDescription: "the region that is named", regions: [region(0, gib), region(1, 512 * mib)],
            spec: spec(mib, parameters(region: "region0")), expected: "region0"),
        Choice(
            testDescription: "the NUMA node that is named", regions: [region(0), region(1, numa: 1)],
            spec: spec(mib, parameters(numa: 1)), expected: "region1"),
        Choice(
            testDescription: "no such region", regions: [region(0)], spec: spec(mib, parameters(region: "region7")),
            expected: nil, code: .notEnoughSpace, words: ["region7", "region0"]),
        Choice(
            testDescription: "no such NUMA node", regions: [region(0), region(1, numa: nil)],
            spec: spec(mib, parameters(numa: 3)), expected: nil, code: .notEnoughSpace, words: ["numaNode 3"]),
        Choice(
            testDescription: "no region at all", regions: [], spec: spec(mib), expected: nil, code: .notEnoughSpace,
            words: ["none"]),
        Choice(
            testDescription: "regions that cannot be used are named with the reason",
            regions: [
                region(0, isReadOnly: true), region(1, isEnabled: false), region(2, hasLabels: false),
                region(3, halfMade: "namespace3.1"),
            ], spec: spec(mib), expected: nil, code: .notEnoughSpace,
            words: [
                "region0 is read-only", "region1 is disabled", "region2 has no labels",
                "namespace3.1 in region3 is half made",
            ]),
        Choice(
            testDescription: "a limit below what alignment makes of the size", regions: [region(0)],
            spec: spec(15 * mib, limit: 29 * mib), expected: nil, code: .outOfRange, words: ["limit_bytes"]),
        Choice(
            testDescription: "a limit that one of the regions can keep to",
            regions: [region(0, align: 64 * mib), region(1)], spec: spec(15 * mib, limit: 30 * mib),
            expected: "region1"),
        Choice(
            testDescription: "a limit that a full region could keep to is a matter of room",
            regions: [region(0, 64 * mib, [namespace(0, 64 * mib)]), region(1, align: 64 * mib)],
            spec: spec(15 * mib, limit: 30 * mib), expected: nil, code: .notEnoughSpace),
        Choice(
            testDescription: "a size beyond all", regions: [region(0)], spec: spec(.max), expected: nil,
            code: .outOfRange),
    ]

    @Test("the region of a volume", arguments: choices)
    func choice(_ test: Choice) throws {
        let plan = DirectPlan(test.regions)
        if let expected = test.expected {
            #expect(try plan.place(test.spec).devname == expected)
        } else {
            let error = #expect(throws: DeviceError.self) { _ = try plan.place(test.spec) }
            #expect(error?.code == test.code)
            for word in test.words { #expect(error?.message.contains(word) == true, "\(word)") }
        }
    }

    @Test("regions that cannot be used have no room")
    func unusable() {
        let plan = DirectPlan([
            region(0, isReadOnly: true), region(1, isEnabled: false), region(2, hasLabels: false),
            region(3, halfMade: "namespace3.1"),
        ])
        #expect(plan.capacity(for: parameters()) == Capacity())
    }
}
