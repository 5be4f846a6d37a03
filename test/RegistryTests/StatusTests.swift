import CSIProto
import ClusterProto
import LVM
import Ndctl
import SwiftProtobuf
import Testing

@testable import csictl

@Suite("csictl status")
struct StatusTests {
    private static func region(_ namespaces: [Namespace] = [], largest: UInt64 = 4 << 30, readOnly: Bool = false)
        -> Region
    {
        Region(
            bus: "ndbus0", devname: "region0", size: 4 << 30,
            availableSize: (4 << 30) - namespaces.reduce(0) { $0 + $1.rawSize },
            maxAvailableExtent: largest, resource: 0, isReadOnly: readOnly, regionAlign: 16 << 20,
            namespaces: namespaces)
    }

    private static func namespace(_ name: String, at start: UInt64, _ size: UInt64) -> Namespace {
        Namespace(
            devname: "namespace0.0", alternateName: name, mode: .fsdax, size: size, rawSize: size, resource: start,
            isActive: true, blockDevice: "pmem0", uuid: nil, sectorSize: 512)
    }

    @Test("the table and the JSON say the same")
    func spellings() throws {
        var report = StatusReport()
        report.add(
            driver: .with {
                $0.name = "d"; $0.vendorVersion = "1"
            }, state: "ready")
        report.add(volumes: [
            .with {
                $0.volume.volumeID = "v-1"
                $0.volume.capacityBytes = 1 << 30
                $0.volume.volumeContext = ["name": "pvc \"a\""]
                $0.volume.accessibleTopology = [.with { $0.segments = ["d/node": "n1"] }]
                $0.status.publishedNodeIds = ["n1"]
            }
        ])
        report.add(nodes: [
            .with {
                $0.nodeID = "n1"; $0.state = "registered"; $0.availableBytes = 3 << 30
            }
        ])
        #expect(report.attention.isEmpty)
        let lines = report.text.split(separator: "\n").map(String.init)
        #expect(lines.contains("ID   NAME     SIZE   ON  USED BY") == false)
        #expect(lines.contains { $0.hasPrefix("v-1  pvc \"a\"") && $0.contains("1 GiB") && $0.hasSuffix("n1  n1") })
        #expect(lines.last == "nothing needs attention")
        let json = try JSONValue(parsing: report.json.text)
        #expect(json.value(at: ["volumes", "0", "name"]) == .string("pvc \"a\""))
        #expect(json.value(at: ["volumes", "0", "size"])?.text == "1073741824")
        #expect(json.value(at: ["nodes", "0", "available"])?.text == "3221225472")
        #expect(json.value(at: ["attention"]) == .array([]))
        #expect(json.value(at: ["notes"]) == .array([]))
    }

    @Test("a note is shown, and needs no attention")
    func notes() throws {
        var report = StatusReport()
        report.notes.append("volumes: ask the controller")
        #expect(report.text == "notes\n- volumes: ask the controller\n\nnothing needs attention")
        let json = try JSONValue(parsing: report.json.text)
        #expect(json.value(at: ["notes"]) == .array([.string("volumes: ask the controller")]))
        #expect(json.value(at: ["attention"]) == .array([]))
    }

    @Test("a fragmented region and a half-made namespace need attention")
    func regions() {
        var report = StatusReport()
        // Four pieces of half a GiB each.
        report.add(regions: [
            Self.region(
                [0, 1, 2, 3].map { Self.namespace($0 == 0 ? "pmem-csi.new" : "v", at: $0 << 30, 512 << 20) },
                largest: 512 << 20)
        ])
        #expect(report.text.contains("region0"))
        #expect(report.attention.contains { $0.hasPrefix("namespace0.0 is half made") })
        #expect(report.attention.contains { $0.hasPrefix("region0: ") && $0.contains("% of what is free") })
    }

    @Test("one piece of free memory is no fragmentation")
    func wholeRegion() {
        var report = StatusReport()
        report.add(regions: [Self.region([Self.namespace("v", at: 0, 1 << 30)], largest: 3 << 30)])
        #expect(report.attention.isEmpty)
    }

    @Test("a region that cannot be used is named")
    func obstacle() {
        var report = StatusReport()
        report.add(regions: [Self.region(readOnly: true)])
        #expect(report.attention.count == 1 && report.attention[0].contains("region0"))
    }

    @Test("a group without a device or without room is named")
    func groups() {
        var report = StatusReport()
        report.add(groups: [
            VolumeGroup(
                name: "ndbus0region0fsdax", size: 1 << 30, free: 4 << 20,
                physicalVolumes: [PhysicalVolume(device: "/dev/pmem0", isMissing: true)])
        ])
        #expect(
            report.attention.map { String($0.prefix(40)) } == [
                "group ndbus0region0fsdax: device /dev/pm", "group ndbus0region0fsdax is nearly full:",
            ])
    }

    @Test(
        "nodes that are away or silent are named",
        arguments: [
            ("away", 10, "node n1 is away, with 2 volumes"), ("registered", 1000, "node n1 has been silent for 1000 s"),
        ] as [(String, Int64, String)])
    func nodes(_ state: String, _ silence: Int64, _ expected: String) {
        var report = StatusReport()
        report.add(nodes: [
            .with {
                $0.nodeID = "n1"; $0.state = state; $0.secondsSilent = silence; $0.volumes = 2
            },
            .with {
                $0.nodeID = "n2"; $0.state = "registered"
            },
        ])
        #expect(report.attention.count == 1 && report.attention[0].hasPrefix(expected))
    }

    @Test("without any node nothing can be made")
    func noNode() {
        var report = StatusReport()
        report.add(nodes: [])
        #expect(report.attention == ["nodes: none is registered"])
    }
}
