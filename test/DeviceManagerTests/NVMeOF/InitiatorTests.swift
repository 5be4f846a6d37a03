import FoundationEssentials
import Glibc
import Host
import Logging
import TestSupport
import Testing

@testable import DeviceManager

private let lvol = "2b4c6d8e-0a1b-4c3d-9e5f-112233445566"
private let other = "99999999-0a1b-4c3d-9e5f-112233445566"
private let nqn = "nqn.2020-04.io.spdk.csi:uuid:\(lvol)"
private let host = HostIdentity(driverName: "csi.spdk.io", clusterName: "lab", nodeID: "host-1")

private func volume(_ addresses: String = "10.0.0.1,10.0.0.2", id: String = "n:\(lvol)") throws -> RemoteVolume {
    try RemoteVolume(
        id: id, volumeContext: ["targetType": "TCP", "targetAddr": addresses, "nqn": nqn], publishContext: [:],
        timeouts: PathTimeouts())
}

@Suite("NVMe-oF in /sys") struct NVMeTreeTests {
    @Test func `the device is that of all paths together, found by subsystem and UUID`() async throws {
        try await withDirectory { directory in
            let tree = SysfsTree(root: directory)
            try tree.controller("nvme0", nqn: nqn, host: host.nqn, address: "10.0.0.1")
            try tree.controller("nvme1", nqn: nqn, host: host.nqn, address: "10.0.0.2", state: "connecting")
            try tree.controller("nvme2", nqn: "nqn.other", host: host.nqn, address: "10.0.0.1")
            let subsystem = try tree.subsystem("nvme-subsys0", nqn: nqn)
            try tree.namespace("nvme0n1", below: subsystem, uuid: other, number: "259:0")
            try tree.namespace("nvme0n2", below: subsystem, uuid: lvol.uppercased(), number: "259:1")
            try tree.namespace("nvme0c0n2", below: "class/nvme/nvme0", uuid: lvol, number: nil)
            let elsewhere = try tree.subsystem("nvme-subsys1", nqn: "nqn.other")
            try tree.namespace("nvme2n1", below: elsewhere, uuid: lvol, number: "259:9")

            let found = NVMeTree(root: directory)
            let names = try found.controllers(of: nqn).map(\.name)
            #expect(names == ["nvme0", "nvme1"])
            let live = try found.controllers(of: nqn).map(\.isLive)
            #expect(live == [true, false])
            let address = try found.controllers(of: nqn)[0].address
            #expect(address == TargetAddress(host: "10.0.0.1", port: 4420))
            let devices = try found.namespaces(of: nqn).map(\.name)
            #expect(devices == ["nvme0n1", "nvme0n2"])
            let initiator = initiator(directory)
            let device = try initiator.device(volume())
            #expect(device == "\(directory)/dev/nvme0n2")
            let siblings = try initiator.siblings(volume())
            #expect(siblings == ["\(directory)/dev/nvme0n1"])
        }
    }

    @Test func `without multipath the device is below its controller; one without a number is not there`() async throws
    {
        try await withDirectory { directory in
            let tree = SysfsTree(root: directory)
            try tree.controller("nvme0", nqn: nqn, host: host.nqn, address: "10.0.0.1")
            _ = try tree.subsystem("nvme-subsys0", nqn: nqn)
            try tree.namespace("nvme0n1", below: "class/nvme/nvme0", uuid: lvol, number: nil)
            let early = try initiator(directory).device(volume())
            #expect(early == nil)
            try tree.write("class/nvme/nvme0/nvme0n1/dev", "259:0")
            let late = try initiator(directory).device(volume())
            #expect(late == "\(directory)/dev/nvme0n1")
        }
    }

    @Test func `a machine without NVMe has nothing`() async throws {
        try await withDirectory { directory in
            let controllers = try NVMeTree(root: directory).controllers(of: nqn)
            #expect(controllers.isEmpty)
            let namespaces = try NVMeTree(root: directory).namespaces(of: nqn)
            #expect(namespaces.isEmpty)
            let hasMultipath = try NVMeTree(root: directory).hasMultipath()
            #expect(!hasMultipath)
        }
    }
}

private func initiator(_ directory: String) -> NVMeInitiator {
    NVMeInitiator(
        tree: NVMeTree(root: directory), fabrics: "\(directory)/nvme-fabrics", devices: "\(directory)/dev",
        limit: .milliseconds(1), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

@Suite("NVMe-oF connections", .enabled(if: isRoot, "needs root")) struct NVMeInitiatorTests {
    /// Two paths, of which only the first is connected, and a device.
    private func withConnection(
        state: String = "live", _ body: (SysfsTree, NVMeInitiator) async throws -> Void
    ) async throws {
        try await withDirectory { directory in
            try await LoopDevice.with(size: 1 << 20) { device in
                let tree = SysfsTree(root: directory)
                try tree.multipath(true)
                try tree.controller("nvme0", nqn: nqn, host: host.nqn, address: "10.0.0.1", state: state)
                let subsystem = try tree.subsystem("nvme-subsys0", nqn: nqn)
                try tree.namespace("nvme0n1", below: subsystem, uuid: lvol, number: "7:0")
                try tree.write("dev/unused", "")
                symlink(device, "\(directory)/dev/nvme0n1")
                try await body(tree, initiator(directory))
            }
        }
    }

    @Test func `what is connected is not connected again`() async throws {
        try await withConnection { _, initiator in
            // There is no /dev/nvme-fabrics that it could ask.
            let failures = try await initiator.connect(volume("10.0.0.1"), as: host)
            #expect(failures == [])
        }
    }

    @Test func `the missing path is asked for, with the node's identity`() async throws {
        try await withConnection { tree, initiator in
            try tree.write("nvme-fabrics", "")
            let failures = try await initiator.connect(volume(), as: host)
            #expect(failures == [])
            let asked = try tree.read("nvme-fabrics")
            #expect(asked.hasPrefix("transport=tcp,traddr=10.0.0.2,trsvcid=4420,nqn=\(nqn),hostnqn=\(host.nqn),"))
        }
    }

    @Test func `a path that cannot be had is told of, and the volume works with the other`() async throws {
        try await withConnection { _, initiator in
            let failures = try await initiator.connect(volume(), as: host)
            #expect(failures.count == 1)
            #expect(failures[0].contains("10.0.0.2:4420") && failures[0].contains("nvme-tcp"))
        }
    }

    @Test func `without any path the kernel module is named`() async throws {
        try await withDirectory { directory in
            let error = await #expect(throws: DeviceError.self) {
                try await initiator(directory).connect(volume(), as: host)
            }
            #expect(error?.code == .failedPrecondition)
            #expect(error?.message.contains("modprobe nvme-tcp") == true)
        }
    }

    @Test func `a device that no path leads to is not used: reading it would wait`() async throws {
        try await withConnection(state: "connecting") { _, initiator in
            let error = await #expect(throws: DeviceError.self) {
                try await initiator.connect(volume("10.0.0.1"), as: host)
            }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("10.0.0.1:4420 is connecting") == true)
        }
    }

    @Test func `another volume's namespace is never taken for it`() async throws {
        try await withConnection { tree, initiator in
            try tree.write("class/nvme-subsystem/nvme-subsys0/nvme0n1/uuid", other)
            let error = await #expect(throws: DeviceError.self) {
                try await initiator.connect(volume("10.0.0.1"), as: host)
            }
            #expect(error?.code == .notFound)
            #expect(error?.message.contains("nvme0n1 \(other)") == true)
        }
    }

    @Test func `only connections of our own are ended, and their end is verified`() async throws {
        try await withConnection { tree, initiator in
            try tree.controller("nvme1", nqn: nqn, host: "nqn.somebody", address: "10.0.0.1")
            let error = await #expect(throws: DeviceError.self) { try await initiator.disconnect(volume(), as: host) }
            #expect(error?.code == .unavailable)
            let isOursEnded = try tree.read("class/nvme/nvme0/delete_controller").hasPrefix("1")
            #expect(isOursEnded)
            let isTheirsEnded = try tree.read("class/nvme/nvme1/delete_controller").hasPrefix("1")
            #expect(!isTheirsEnded)
        }
    }

    @Test func `nothing connected is disconnected`() async throws {
        try await withDirectory { directory in
            let (initiator, volume) = (initiator(directory), try volume())
            try await initiator.disconnect(volume, as: host)
            let isConnected = try initiator.isConnected(volume, as: nil)
            #expect(!isConnected)
        }
    }
}

@Suite("iSCSI in /sys") struct ISCSITreeTests {
    @Test(
        "the disk is the LUN asked for, the only one, or LUN 0",
        arguments: [
            ([(0, "sda")], nil, "sda"), ([(1, "sdb")], nil, "sdb"), ([(0, "sda"), (1, "sdb")], nil, "sda"),
            ([(0, "sda"), (1, "sdb")], 1, "sdb"), ([(1, "sdb"), (2, "sdc")], nil, nil), ([(0, "sda")], 3, nil),
            ([], nil, nil),
        ] as [([(Int, String)], UInt16?, String?)])
    func disks(disks: [(Int, String)], lun: UInt16?, expected: String?) async throws {
        try await withDirectory { directory in
            let files = SysfsTree(root: directory)
            try files.session("session7", target: "iqn.a", disks: disks.map { (lun: $0.0, name: $0.1) })
            try files.session("session8", target: "iqn.b", disks: [(lun: 0, name: "sdx")])
            let tree = ISCSITree(root: directory)
            let sessions = try tree.sessions(of: "iqn.a")
            #expect(sessions.map(\.number) == ["7"])
            let name = try tree.disk(of: sessions[0], lun: lun)?.name
            #expect(name == expected)
        }
    }
}

@Suite("nodeserver-config.json") struct NodeServerConfigurationTests {
    private func parse(_ text: String) throws -> NodeServerConfiguration {
        try NodeServerConfiguration(parsing: Data(text.utf8), "/etc/node.json")
    }

    @Test(arguments: [#"{"xpuList":[]}"#, "{}", #"{"XPUList":null}"#])
    func `files of spdk-csi without xPUs are fine`(text: String) throws {
        let (found, nothing) = (try parse(text), try parse("{}"))
        #expect(found == nothing)
    }

    @Test func `what it says is taken`() throws {
        let found = try parse(
            #"{"clusterName":"east","reconnectDelay":7,"ctrlLossTimeout":-1,"transports":["tcp","iscsi"]}"#)
        #expect(found.clusterName == "east")
        #expect(found.timeouts.reconnectDelay == 7 && found.timeouts.controllerLoss == -1)
        #expect(found.transports == [.tcp, .iscsi])
    }

    @Test(
        "what cannot be is refused by file and key",
        arguments: [
            (#"{"xpuList":[{"name":"xPU0","targetType":"xpu-opi-nvme"}]}"#, "xpuList"), (#"{"xpu":[]}"#, "\"xpu\""),
            (#"{"clusterName":3}"#, "clusterName"), (#"{"reconnectDelay":0}"#, "reconnectDelay"),
            (#"{"reconnectDelay":1.5}"#, "reconnectDelay"), (#"{"transports":["fc"]}"#, "transports"), ("[", ""),
        ])
    func refusals(text: String, key: String) {
        let error = #expect(throws: DeviceError.self) { try parse(text) }
        #expect(error?.code == .invalidArgument)
        #expect(
            error?.message.contains("/etc/node.json") == true && error?.message.contains(key) == true || key.isEmpty)
    }

    @Test func `a file that is missing says nothing`() throws {
        let (found, nothing) = (try NodeServerConfiguration(path: "/nonexistent/node.json"), try parse("{}"))
        #expect(found == nothing)
    }
}
