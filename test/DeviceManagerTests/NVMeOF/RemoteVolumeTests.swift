import Testing

@testable import DeviceManager

private let lvol = "2b4c6d8e-0a1b-4c3d-9e5f-112233445566"
private let nvme = ["targetType": "TCP", "targetAddr": "10.0.0.1", "targetPort": "4420"]

private func volume(
    _ context: [String: String], publish: [String: String] = [:], id: String = "node1:\(lvol)"
) throws -> RemoteVolume {
    try RemoteVolume(id: id, volumeContext: context, publishContext: publish, timeouts: PathTimeouts())
}

@Suite("What contexts say of a volume") struct RemoteVolumeTests {
    @Test func `a volume of spdk-csi is understood as it is`() throws {
        let found = try volume(
            nvme.merging([
                "nqn": "nqn.2020-04.io.spdk.csi:uuid:\(lvol)", "model": lvol, "lvolSize": "1073741824",
                "lvstore": "lvs0", "fsType": "ext4",
            ]) { $1 })
        #expect(found.transport == .tcp)
        #expect(found.name == "nqn.2020-04.io.spdk.csi:uuid:\(lvol)")
        #expect(found.uuid == lvol)
        #expect(found.addresses == [TargetAddress(host: "10.0.0.1", port: 4420)])
        #expect(found.timeouts == PathTimeouts())
        #expect(!found.isReadOnly)
    }

    @Test func `an iSCSI volume is its target, and has no UUID`() throws {
        let found = try volume(["targetType": "iscsi", "targetAddr": "10.0.0.1", "iqn": "iqn.2016-06.io.spdk:\(lvol)"])
        #expect(found.transport == .iscsi)
        #expect(found.name == "iqn.2016-06.io.spdk:\(lvol)")
        #expect(found.uuid == nil)
        #expect(found.addresses.map(\.port) == [3260])
    }

    @Test(
        "the name and the UUID follow from a volume handle, a model or an NQN that has one",
        arguments: [
            (["targetType": "TCP"], lvol, "nqn.2020-04.io.spdk.csi:uuid:\(lvol)"),
            (["targetType": "nvme-rdma"], "n:\(lvol.uppercased())", "nqn.2020-04.io.spdk.csi:uuid:\(lvol)"),
            (["targetType": "tcp", "model": lvol], "by-hand", "nqn.2020-04.io.spdk.csi:uuid:\(lvol)"),
            (["targetType": "tcp", "nqn": "nqn.2014-08.org:uuid:\(lvol)"], "by-hand", "nqn.2014-08.org:uuid:\(lvol)"),
        ])
    func names(context: [String: String], id: String, name: String) throws {
        let found = try volume(context.merging(["targetAddr": "::1"]) { $1 }, id: id)
        #expect(found.name == name)
        #expect(found.uuid == lvol)
    }

    @Test func `what the controller says at publication goes before what the volume said when it was made`() throws {
        let found = try volume(
            nvme.merging(["access": "host"]) { $1 }, publish: ["targetAddr": "10.0.0.9,10.0.1.9", "readonly": "true"])
        #expect(found.addresses.map(\.description) == ["10.0.0.9:4420", "10.0.1.9:4420"])
        #expect(found.isReadOnly)
    }

    @Test func `a volume that its node must be let into says so by name`() throws {
        let error = #expect(throws: DeviceError.self) { try volume(nvme.merging(["access": "host"]) { $1 }) }
        #expect(error?.code == .failedPrecondition)
        #expect(error?.message.contains("attachRequired") == true)
        let open = try volume(nvme.merging(["access": "any"]) { $1 })
        #expect(open.transport == .tcp)
    }

    @Test(
        "what cannot be is refused by its key",
        arguments: [
            ("access", "everybody", .invalidArgument), ("targetType", "fc", .invalidArgument),
            ("targetPort", "0", .invalidArgument), ("targetPort", "65536", .invalidArgument),
            ("targetAddr", "10.0.0.1,traddr=evil", .invalidArgument), ("targetAddr", "-x", .invalidArgument),
            ("targetAddr", "", .failedPrecondition), ("targetType", "", .failedPrecondition),
            ("nqn", "nqn.a,hostnqn=b", .invalidArgument), ("nqn", "nqn.a b", .invalidArgument),
            ("nqn", "other", .invalidArgument), ("reconnectDelay", "0", .invalidArgument),
            ("ctrlLossTimeout", "-2", .invalidArgument), ("ctrlLossTimeout", "soon", .invalidArgument),
            ("lun", "x", .invalidArgument),
        ] as [(String, String, DeviceError.Code)])
    func refusals(key: String, value: String, code: DeviceError.Code) throws {
        let error = #expect(throws: DeviceError.self) { try volume(nvme.merging([key: value]) { $1 }) }
        #expect(error?.code == code)
        #expect(error?.message.contains(key) == true, "\(error?.message ?? "")")
    }

    @Test func `timeouts come from the context, and become the kernel's options`() throws {
        let found = try volume(nvme.merging(["reconnectDelay": "5", "ctrlLossTimeout": "-1"]) { $1 })
        let host = HostIdentity(driverName: "csi.spdk.io", clusterName: "lab", nodeID: "host-1")
        let options = FabricsOptions(
            transport: found.transport, address: found.addresses[0], nqn: found.name, host: host,
            timeouts: found.timeouts)
        #expect(
            options.text == "transport=tcp,traddr=10.0.0.1,trsvcid=4420,nqn=nqn.2020-04.io.spdk.csi:uuid:\(lvol),"
                + "hostnqn=nqn.2014-08.org.nvmexpress:uuid:e56689e0-eac9-578c-9326-65c8060c18c9,"
                + "hostid=e56689e0-eac9-578c-9326-65c8060c18c9,reconnect_delay=5,ctrl_loss_tmo=-1")
    }
}

@Suite("Host identity") struct HostIdentityTests {
    @Test func `it is the version 5 UUID of driver, cluster and node`() {
        let host = HostIdentity(driverName: "csi.spdk.io", clusterName: "lab", nodeID: "host-1")
        // By Python's uuid.uuid5.
        #expect(host.id == "e56689e0-eac9-578c-9326-65c8060c18c9")
        #expect(host.nqn == "nqn.2014-08.org.nvmexpress:uuid:\(host.id)")
    }

    @Test func `each of the three counts, and where one ends`() {
        let hosts = [("a", "b", "c"), ("a", "b", "d"), ("a", "", "bc"), ("ab", "", "c"), ("a", "bc", "")].map {
            HostIdentity(driverName: $0.0, clusterName: $0.1, nodeID: $0.2).id
        }
        #expect(Set(hosts).count == hosts.count)
    }
}

@Suite("Addresses of targets") struct TargetAddressTests {
    @Test(
        "lists are understood",
        arguments: [
            ("10.0.0.1", ["10.0.0.1:4420"]), ("10.0.0.1:4421", ["10.0.0.1:4421"]), ("::1", ["[::1]:4420"]),
            ("[fd00::2]:9", ["[fd00::2]:9"]), ("[fd00::2]", ["[fd00::2]:4420"]),
            ("fe80::1%eth0", ["[fe80::1%eth0]:4420"]),
            (
                "10.0.0.1, 10.0.0.1,storage-1.example.com:1",
                ["10.0.0.1:4420", "storage-1.example.com:1"]
            ),
        ])
    func lists(text: String, expected: [String]) throws {
        let found = try TargetAddress.list(text, port: 4420, "targetAddr").map(\.description)
        #expect(found == expected)
    }

    @Test(
        "what is no address is refused",
        arguments: ["[::1", "[::1]x", "1.2.3.4:", "1.2.3.4:0", "a b;c", "x=y", ":1", "\u{e9}"])
    func refusals(text: String) {
        #expect(throws: DeviceError.self) { try TargetAddress.list(text, port: 4420, "targetAddr") }
    }

    @Test func `hosts are spelled as the kernel spells them`() throws {
        #expect(TargetAddress.canonical("FD00:0:0::2") == "fd00::2")
        #expect(TargetAddress.canonical("10.0.0.1") == "10.0.0.1")
        #expect(TargetAddress.canonical("storage-1") == nil)
        let looked = try TargetAddress(host: "localhost", port: 1).resolved()
        #expect(["127.0.0.1", "::1"].contains(looked.host))
    }
}
