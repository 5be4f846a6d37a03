import ArgumentParser
import Ndctl
import Testing

@testable import pmem_ns_init

private let mib: UInt64 = 1 << 20
private let gib: UInt64 = 1 << 30
private let tib: UInt64 = 1 << 40
private let start: UInt64 = 4 * gib

/// A region whose namespaces lie where they are said to; free space as a kernel would report it.
private func region(
    _ size: UInt64, _ namespaces: [Namespace] = [], ways: UInt32 = 1, align: UInt64? = 16 * mib,
    addressesKnown: Bool = true, halfMade: String? = nil
) -> Region {
    var position = start
    var free: [UInt64] = []
    for namespace in namespaces {
        free.append((namespace.resource ?? position) - position)
        position = (namespace.resource ?? position) + namespace.rawSize
    }
    free.append(start + size - position)
    let unit = align ?? 96 * mib
    return Region(
        bus: "ndbus0", devname: "region0", size: size, availableSize: free.reduce(0, +),
        maxAvailableExtent: free.map { $0 - $0 % unit }.max() ?? 0, resource: addressesKnown ? start : nil,
        interleaveWays: ways, regionAlign: align, halfMade: halfMade, namespaces: namespaces)
}

private func namespace(
    _ index: Int, at offset: UInt64, _ size: UInt64, _ name: String = "pmem-csi", _ mode: Namespace.Mode = .fsdax,
    active: Bool = true
) -> Namespace {
    Namespace(
        devname: "namespace0.\(index)", alternateName: name, mode: mode, size: size, rawSize: size,
        resource: start + offset, isActive: active, blockDevice: active ? "pmem0" : nil, uuid: nil, sectorSize: 512)
}

private func options(_ namespaceSize: UInt64 = 32 * gib, fsdax: UInt64 = 100, sector: UInt64 = 0) -> NamespaceOptions {
    NamespaceOptions(namespaceSize: namespaceSize, fsdaxPercent: fsdax, sectorPercent: sector)
}

/// Executes a plan's creations as the kernel would: each at the lowest address where it fits.
private func applying(_ plan: NamespacePlan, to facts: Region) -> Region {
    var namespaces = facts.namespaces.filter { $0.alternateName != NamespacePlan.unfinishedName }
    for mode in NamespacePlan.modes {
        for size in plan.sizes(toCreate: mode) {
            namespaces.sort { ($0.resource ?? 0) < ($1.resource ?? 0) }
            var offset: UInt64 = 0
            for other in namespaces {
                let gapEnd = (other.resource ?? start) - start
                if gapEnd >= offset, gapEnd - offset >= size { break }
                offset = gapEnd + other.rawSize
            }
            namespaces.append(namespace(100 + namespaces.count, at: offset, size, "pmem-csi", mode))
        }
    }
    namespaces.sort { ($0.resource ?? 0) < ($1.resource ?? 0) }
    return region(facts.size, namespaces, ways: facts.interleaveWays, align: facts.regionAlign)
}

@Suite struct NamespacePlanTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let region: Region
        let options: NamespaceOptions
        let fsdax: [UInt64]
        var sector: [UInt64] = []
        /// Per mode, of what the share of the region promises.
        var unused: UInt64 = 0
    }

    static let cases: [Case] = [
        Case(
            testDescription: "the lab's region is used up", region: region(4_160_749_568), options: options(),
            fsdax: [4_160_749_568]),
        Case(
            testDescription: "the last namespace takes the rest", region: region(4_160_749_568),
            options: options(gib), fsdax: [gib, gib, gib, 4_160_749_568 - 3 * gib]),
        Case(
            testDescription: "two halves", region: region(4 * gib), options: options(fsdax: 50, sector: 50),
            fsdax: [2 * gib], sector: [2 * gib]),
        Case(
            testDescription: "sector only", region: region(4 * gib), options: options(fsdax: 0, sector: 100),
            fsdax: [], sector: [4 * gib]),
        Case(
            testDescription: "shares that are no whole units", region: region(4 * gib + 16 * mib),
            options: options(fsdax: 50, sector: 50), fsdax: [2 * gib], sector: [2 * gib], unused: 16 * mib),
        Case(
            testDescription: "nothing is asked for", region: region(4 * gib), options: options(fsdax: 0, sector: 0),
            fsdax: []),
        Case(
            testDescription: "a part is there already", region: region(4 * gib, [namespace(0, at: 0, gib)]),
            options: options(), fsdax: [3 * gib]),
        Case(
            testDescription: "own namespaces of the other mode do not count",
            region: region(4 * gib, [namespace(0, at: 0, gib, "pmem-csi", .sector)]),
            options: options(fsdax: 50, sector: 50), fsdax: [2 * gib], sector: [gib]),
        Case(
            testDescription: "more than the share is there",
            region: region(4 * gib, [namespace(0, at: 0, 3 * gib)]), options: options(fsdax: 50), fsdax: []),
        Case(
            testDescription: "a foreign namespace in the middle",
            region: region(8 * gib, [namespace(0, at: 3 * gib, gib, "other")]), options: options(),
            fsdax: [3 * gib, 4 * gib], unused: gib),
        Case(
            testDescription: "a foreign namespace, and no addresses known",
            region: region(8 * gib, [namespace(0, at: 3 * gib, gib, "other")], addressesKnown: false),
            options: options(), fsdax: [4 * gib], unused: 4 * gib),
        Case(
            testDescription: "a piece that is too small stays free",
            region: region(4 * gib, [namespace(0, at: 32 * mib, gib, "")]), options: options(),
            fsdax: [3 * gib - 32 * mib], unused: gib + 32 * mib),
        Case(
            testDescription: "an unfinished namespace gives its memory back",
            region: region(4 * gib, [namespace(0, at: 0, gib), namespace(1, at: gib, gib, "pmem-csi.new")]),
            options: options(), fsdax: [3 * gib]),
        Case(
            testDescription: "an inactive one of ours counts",
            region: region(4 * gib, [namespace(0, at: 0, 4 * gib, active: false)]), options: options(), fsdax: []),
        Case(
            testDescription: "6 TiB and large namespaces", region: region(6 * tib), options: options(2 * tib),
            fsdax: [2 * tib, 2 * tib, 2 * tib]),
        Case(
            testDescription: "a region smaller than a namespace can be", region: region(48 * mib), options: options(),
            fsdax: [], unused: 48 * mib),
    ]

    @Test("what is created", arguments: cases)
    func creation(_ test: Case) {
        let plan = NamespacePlan(test.region, test.options)
        #expect(plan.sizes(toCreate: .fsdax) == test.fsdax)
        #expect(plan.sizes(toCreate: .sector) == test.sector)
        let unused = plan.entries.filter { $0.action == .unused && $0.mode != nil }
        #expect(unused.reduce(0) { $0 + $1.size } == test.unused)
        #expect(unused.allSatisfy { !$0.detail.isEmpty })
    }

    @Test("a second plan after the first was carried out creates nothing", arguments: cases)
    func idempotence(_ test: Case) {
        // Where addresses are unknown a run plans several times; two are enough for one foreign namespace.
        var facts = test.region
        for _ in 0..<2 {
            facts = applying(NamespacePlan(facts, test.options), to: facts)
        }
        let plan = NamespacePlan(facts, test.options)
        #expect(plan.entries.allSatisfy { ![.create, .destroy].contains($0.action) })
    }

    @Test(
        "sizes are multiples of what the kernel and page maps of all ways ask for",
        arguments: [
            (1, 16 * mib, 16 * mib), (2, 16 * mib, 16 * mib), (3, 48 * mib, 48 * mib), (4, 16 * mib, 16 * mib),
            (5, 80 * mib, 80 * mib), (6, 48 * mib, 48 * mib), (1, nil, 96 * mib), (3, nil, 96 * mib),
            (5, nil, 480 * mib), (6, 1, 96 * mib), (12, 16 * mib, 48 * mib),
        ] as [(UInt32, UInt64?, UInt64)])
    func alignment(_ ways: UInt32, _ align: UInt64?, _ expected: UInt64) {
        let facts = region(100 * gib + 7 * mib, ways: ways, align: align)
        #expect(facts.alignment == expected)
        let plan = NamespacePlan(facts, options())
        let sizes = plan.sizes(toCreate: .fsdax)
        #expect(!sizes.isEmpty && sizes.allSatisfy { $0 % expected == 0 })
        let unused = plan.entries.filter { $0.action == .unused }.reduce(0) { $0 + $1.size }
        #expect(sizes.reduce(0, +) + unused == facts.size)
    }

    @Test(
        "percentages of large sizes do not overflow",
        arguments: [
            (6 * tib, 100, 6 * tib), (UInt64.max, 100, UInt64.max), (UInt64.max, 0, 0), (199, 50, 99), (1, 99, 0),
        ] as [(UInt64, UInt64, UInt64)])
    func share(_ size: UInt64, _ percent: UInt64, _ expected: UInt64) {
        #expect(NamespacePlan.share(of: size, percent: percent) == expected)
    }

    @Test("each namespace that exists is kept, repaired or left alone, and foreign ones are never touched")
    func existing() {
        let facts = region(
            8 * gib,
            [
                namespace(0, at: 0, gib), namespace(1, at: gib, gib, active: false),
                namespace(2, at: 2 * gib, gib, "pmem-csi.new"), namespace(3, at: 3 * gib, gib, "other"),
                namespace(4, at: 4 * gib, gib, ""), namespace(5, at: 5 * gib, gib, "pmem-csi", .raw),
            ])
        let entries = NamespacePlan(facts, options(fsdax: 0)).entries.filter { !$0.namespace.isEmpty }
        #expect(entries.map(\.action) == [.keep, .enable, .destroy, .leave, .leave, .leave])
    }

    @Test("what the percentages leave out is said")
    func unassigned() throws {
        let plan = NamespacePlan(region(4 * gib), options(fsdax: 25, sector: 25))
        let last = try #require(plan.entries.last)
        #expect(last.action == .unused)
        #expect(last.size == 2 * gib)
    }

    @Test(
        "a region that cannot be used is skipped with its name and a remedy",
        arguments: [
            (Region.Kind.pmem, true, true, true, "read-only"), (.pmem, false, false, true, "ndctl enable-region"),
            (.pmem, true, false, false, "ndctl init-labels"), (.other("blk"), true, false, true, "blk"),
        ])
    func skipped(_ kind: Region.Kind, _ isEnabled: Bool, _ isReadOnly: Bool, _ hasLabels: Bool, _ remedy: String) {
        let facts = Region(
            bus: "ndbus0", devname: "region7", kind: kind, size: gib, availableSize: gib, maxAvailableExtent: gib,
            isEnabled: isEnabled, isReadOnly: isReadOnly, hasLabels: hasLabels, regionAlign: 16 * mib)
        let entries = NamespacePlan(facts, options()).entries
        #expect(entries.map(\.action) == [.skip])
        #expect(entries.first?.detail.contains("region7") == true)
        #expect(entries.first?.detail.contains(remedy) == true)
    }
}

@Suite struct HalfMadeNamespaceTests {
    private static func facts(_ name: String) -> Region {
        region(4 * gib, [namespace(0, at: 0, gib, name, active: false)], halfMade: "namespace0.0")
    }

    @Test("what a killed run left half made does not keep the region from being used")
    func own() {
        let plan = NamespacePlan(Self.facts("pmem-csi.new"), options())
        #expect(plan.entries.map(\.action) == [.destroy, .create])
        #expect(plan.sizes(toCreate: .fsdax) == [4 * gib])
        #expect(NamespacePlan(Self.facts("pmem-csi"), options()).entries.map(\.action) == [.enable, .create])
    }

    @Test("what another program left half made does, and is named with the remedy")
    func foreign() {
        let entries = NamespacePlan(Self.facts("other"), options()).entries
        #expect(entries.map(\.action) == [.skip])
        #expect(entries.first?.detail.contains("`ndctl enable-namespace namespace0.0`") == true)
    }
}

@Suite struct NamespaceInitOptionsTests {
    @Test(
        "flags out of range are refused by name",
        arguments: [
            (["--useforfsdax=101"], "useforfsdax"), (["--useforfsdax=-1"], "useforfsdax"),
            (["--useforsector=1"], "useforsector"), (["--useforfsdax=60", "--useforsector=41"], "useforfsdax"),
            (["--namespacesize=0"], "namespacesize"), (["--namespacesize=9223372036854775807"], "namespacesize"),
        ])
    func refusal(_ arguments: [String], _ flag: String) {
        let error = #expect(throws: (any Error).self) { try NamespaceInit.parse(arguments) }
        #expect(error.map { NamespaceInit.message(for: $0) }?.contains("-\(flag)") == true)
    }

    @Test("the defaults are those of the first generation")
    func defaults() throws {
        let command = try NamespaceInit.parse([])
        #expect(command.namespaceSize == 32)
        #expect(command.fsdaxPercent == 100)
        #expect(command.sectorPercent == 0)
    }
}
