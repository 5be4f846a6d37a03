import LVM
import Ndctl
import Testing

@testable import pmem_vgm

/// One situation of a group, and what the plan should make of it.
private struct Situation: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var members = [first]
    var groups: [VolumeGroup] = []
    var contents: [String: DeviceContents] = ["/dev/pmem0": .blank, "/dev/pmem0.1": .blank]
    var steps: [VolumeGroupPlan.Step] = []
    var warning: [String] = []
    var error: [String] = []

    var plan: VolumeGroupPlan {
        VolumeGroupPlan(
            group: name, tag: "fsdax", members: members, report: LVM.Report(groups: groups), contents: contents)
    }
}

private let name = "ndbus0region0fsdax"
private let first = Member(namespace: "namespace0.0", device: "/dev/pmem0")
private let second = Member(namespace: "namespace0.1", device: "/dev/pmem0.1")

private func group(
    _ name: String = name, tags: [String] = ["fsdax"], devices: [String] = ["/dev/pmem0"]
) -> VolumeGroup {
    VolumeGroup(name: name, tags: tags, physicalVolumes: devices.map { PhysicalVolume(device: $0) })
}

private func label(
    dataStart: UInt64 = 18 << 20, group: String? = nil, former: String? = nil, number: UInt64 = 1, used: Bool = false
) -> [String: DeviceContents] {
    let sequence = group.map { MetadataSequence(group: $0, groupID: "id", number: 1) }
    return [
        "/dev/pmem0": .label(
            PhysicalVolumeLabel(
                dataStart: dataStart, metadataSize: dataStart, sequence: sequence,
                former: former.map { MetadataSequence(group: $0, groupID: "id", number: number) }, isMarkedUsed: used))
    ]
}

@Suite struct VolumeGroupPlanTests {
    private static let harmless = [
        Situation(testDescription: "nothing to do without namespaces", members: []),
        Situation(
            testDescription: "the group is made of all blank namespaces at once",
            members: [first, second], steps: [.create(devices: ["/dev/pmem0", "/dev/pmem0.1"])]),
        Situation(testDescription: "a second run changes nothing", groups: [group()]),
        Situation(
            testDescription: "a new namespace extends the group",
            members: [first, second], groups: [group()], steps: [.extend(devices: ["/dev/pmem0.1"])]),
        Situation(
            testDescription: "a missing tag is added even with no new namespace",
            groups: [group(tags: ["other"])], steps: [.addTag]),
        Situation(
            testDescription: "a missing tag is added before the group grows",
            members: [first, second], groups: [group(tags: [])], steps: [.addTag, .extend(devices: ["/dev/pmem0.1"])]),
        Situation(
            testDescription: "a group without its namespaces keeps its tag repaired",
            members: [], groups: [group(tags: [])], steps: [.addTag]),
        Situation(
            testDescription: "a foreign group keeps its device",
            groups: [group("data", tags: [])], warning: ["/dev/pmem0", "namespace0.0", "data"]),
        Situation(
            testDescription: "a foreign group's device does not keep the others out",
            members: [first, second], groups: [group("data")], steps: [.create(devices: ["/dev/pmem0.1"])],
            warning: ["data"]),
        Situation(
            testDescription: "a physical volume of a killed first run is taken",
            contents: label(), steps: [.create(devices: ["/dev/pmem0"])]),
        Situation(
            testDescription: "a physical volume is taken again into the group it was in before",
            contents: label(former: name), steps: [.create(devices: ["/dev/pmem0"])]),
        Situation(
            testDescription: "a physical volume marked as used by a killed first run is made anew",
            contents: label(former: name, used: true),
            steps: [.recreate(device: "/dev/pmem0"), .create(devices: ["/dev/pmem0"])]),
        Situation(
            testDescription: "a physical volume marked as used by a killed extension is made anew",
            groups: [group(devices: ["/dev/pmem0.1"])], contents: label(former: name, number: 8, used: true),
            steps: [.recreate(device: "/dev/pmem0"), .extend(devices: ["/dev/pmem0"])]),
    ]

    @Test(arguments: harmless)
    fileprivate func `plans what is missing and nothing else`(_ situation: Situation) {
        let plan = situation.plan
        #expect(plan.steps == situation.steps)
        #expect(plan.errors == [])
        #expect(plan.warnings.count == (situation.warning.isEmpty ? 0 : 1))
        for word in situation.warning {
            #expect(plan.warnings.first?.contains(word) == true)
        }
    }

    private static let refused = [
        Situation(
            testDescription: "the label of a group that lvm does not report",
            contents: label(group: "data"), error: ["/dev/pmem0", "data"]),
        Situation(
            testDescription: "a physical volume that another group has left",
            contents: label(former: "data"), error: ["/dev/pmem0", "data"]),
        Situation(
            testDescription: "a physical volume with LVM's own geometry",
            contents: label(dataStart: 1 << 20), error: ["/dev/pmem0", "did not make"]),
        Situation(
            testDescription: "a physical volume that a group of the name may still use",
            contents: label(former: name, number: 8, used: true), error: ["/dev/pmem0", "marked"]),
        Situation(
            testDescription: "a file system",
            contents: ["/dev/pmem0": .signature("ext4")], error: ["/dev/pmem0", "ext4"]),
        Situation(
            testDescription: "a device that cannot be read",
            contents: ["/dev/pmem0": .unreadable("I/O error")], error: ["/dev/pmem0", "I/O error"]),
        Situation(testDescription: "a device that nobody looked at", contents: [:], error: ["/dev/pmem0"]),
        Situation(
            testDescription: "two groups of the name",
            members: [first, second], groups: [group(), group()], error: [name, "vgrename"]),
        Situation(
            testDescription: "a group that misses a device", members: [second],
            groups: [
                VolumeGroup(
                    name: name, physicalVolumes: [PhysicalVolume(device: "[unknown]", id: "x", isMissing: true)])
            ], error: [name, "misses"]),
    ]

    @Test(arguments: refused)
    fileprivate func `refuses what it cannot explain, with the device's or group's name`(_ situation: Situation) {
        let plan = situation.plan
        #expect(plan.steps == [])
        #expect(plan.errors.count == 1)
        for word in situation.error {
            #expect(plan.errors.first?.contains(word) == true)
        }
    }

    @Test func `a refused namespace does not keep the others out`() {
        var contents = label(group: "data")
        contents["/dev/pmem0.1"] = .blank
        let plan = Situation(testDescription: "", members: [first, second], contents: contents).plan
        #expect(plan.steps == [.create(devices: ["/dev/pmem0.1"])])
        #expect(plan.errors.count == 1)
    }

    @Test func `an older group's limits are named`() {
        let old = PhysicalVolume(device: "/dev/pmem0", dataStart: 1 << 20, metadataSize: 1_044_480)
        let plan = Situation(
            testDescription: "", groups: [VolumeGroup(name: name, tags: ["fsdax"], physicalVolumes: [old])]
        ).plan
        #expect(plan.steps == [])
        #expect(plan.errors == [])
        #expect(plan.warnings.count == 2)
        #expect(plan.warnings.first?.contains("about 1729 volumes") == true)
        #expect(plan.warnings.last?.contains("2 MiB") == true)
    }
}

@Suite struct SelectionTests {
    private static func namespace(
        _ alternateName: String = "pmem-csi", _ mode: Namespace.Mode = .fsdax, isActive: Bool = true,
        device: String? = "pmem0"
    ) -> Namespace {
        Namespace(
            devname: "namespace0.0", alternateName: alternateName, mode: mode, size: 1, rawSize: 1, resource: nil,
            isActive: isActive, blockDevice: device, uuid: nil, sectorSize: 512)
    }

    @Test func `an active namespace of ours is taken`() {
        let selection = Selection([Self.namespace()], mode: .fsdax)
        #expect(selection.members == [Member(namespace: "namespace0.0", device: "/dev/pmem0")])
        #expect(selection.warnings == [])
    }

    @Test(arguments: [namespace("other"), namespace(""), namespace("pmem-csi2"), namespace("pmem-csi", .sector)])
    func `foreign namespaces and other modes are passed over in silence`(namespace: Namespace) {
        #expect(Selection([namespace], mode: .fsdax).members == [])
        #expect(Selection([namespace], mode: .fsdax).warnings == [])
    }

    @Test(arguments: [
        (namespace("pmem-csi.new"), "pmem-ns-init"), (namespace(isActive: false), "enable-namespace"),
        (namespace(device: nil), "no block device"), (namespace(device: ""), "no block device"),
    ])
    func `a namespace of ours that cannot be used is named with the remedy`(namespace: Namespace, remedy: String) {
        let selection = Selection([namespace], mode: .fsdax)
        #expect(selection.members == [])
        #expect(selection.warnings.count == 1)
        #expect(selection.warnings.first?.contains("namespace0.0") == true)
        #expect(selection.warnings.first?.contains(remedy) == true)
    }
}
