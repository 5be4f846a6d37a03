import CSIProto
import GRPCCore
import Glibc
import SwiftProtobuf

/// Lives of volumes over NVMe/TCP.
enum RemoteLifeSteps {
    /// The UUIDv5 of `csi.spdk.io`, no cluster name and `host-1`, as Python's module uuid computes it.
    static let host = "nqn.2014-08.org.nvmexpress:uuid:07d08023-c6ec-5452-b229-ddfbed7084c2"

    static let start = Topic(
        title: "Start",
        steps: [
            Step("a target, with two ports", essential: true) { _ in
                try await NVMeTarget.start()
                return NVMeTarget.addresses.joined(separator: ", ")
            },
            Step("the driver starts, and names what is missing", essential: true) { lab in
                let ready = try await lab.driver.start()
                let log = try Kernel.read(lab.driver.log)
                try check(Kernel.exists("/dev/nvme-fabrics"), "nvme-tcp was not loaded")
                try check(log.contains("iscsid does not run"), "nothing about iscsid in the log")
                return "after \(ready) ms; iscsid is named"
            },
        ])

    static let topic = Topic(
        title: "NVMe/TCP",
        steps: [
            Step("a life: both addresses, one device, found by its UUID; nothing is left") { lab in try await life(lab)
            },
            Step("a static volume of which only type, address and the lvol's UUID are said", quick: false) { lab in
                try await withSubsystem(2) { subsystem in
                    let uuid = subsystem.uuids[0]
                    let context = ["targetType": "TCP", "targetAddr": NVMeTarget.addresses[0]]
                    let volume = RemoteVolume(id: uuid, context: context)
                    try await volume.up()
                    try checkEqual(try lab.controllers(of: subsystem.nqn).count, 1, "connections")
                    try await volume.down()
                    try lab.checkNothingRemote()
                    return "volumeHandle \(uuid)"
                }
            },
            Step("a raw device, as one of many writers") { lab in
                try await withSubsystem(3) { subsystem in
                    var volume = volume(subsystem)
                    volume.capability = .with {
                        $0.block = .init()
                        $0.accessMode.mode = .multiNodeMultiWriter
                    }
                    try await volume.up()
                    try Kernel.fill(volume.targetPath, with: 0x5a)
                    try await volume.down()
                    try lab.checkNothingRemote()
                    let backing = try Kernel.read(subsystem.file(0)).utf8.prefix(4096)
                    try check(backing.allSatisfy { $0 == 0x5a }, "the target has other bytes")
                    return "64 MiB arrived"
                }
            },
            Step("it grows while it is mounted") { lab in
                try await withSubsystem(4) { subsystem in
                    let volume = volume(subsystem)
                    try await volume.up()
                    let before = try Kernel.size(ofFileSystemAt: volume.targetPath)
                    try await refused(.outOfRange, "NodeExpandVolume before the target grew") {
                        try await volume.expand(to: 128 * MiB)
                    }
                    try NVMeTarget.resize(subsystem, 0, to: 128 * MiB)
                    try checkEqual(try await volume.expand(to: 128 * MiB), 128 * MiB, "capacity_bytes")
                    let after = try Kernel.size(ofFileSystemAt: volume.targetPath)
                    try check(after > before + 50 * MiB, "the file system has \(after) bytes")
                    try await volume.down()
                    try lab.checkNothingRemote()
                    return "\(mebibytes(before)) to \(mebibytes(after))"
                }
            },
            Step("two volumes in one subsystem: the connection stays for the other") { lab in
                try await withSubsystem(5, namespaces: 2) { subsystem in
                    let volumes = [volume(subsystem), volume(subsystem, 1)]
                    for volume in volumes { try await volume.up() }
                    try Kernel.write("one", to: "\(volumes[1].targetPath)/file")
                    try await volumes[0].down()
                    try checkEqual(try lab.controllers(of: subsystem.nqn).count, 2, "connections")
                    try checkEqual(try Kernel.read("\(volumes[1].targetPath)/file"), "one", "the other's file")
                    try await volumes[1].down()
                    try lab.checkNothingRemote()
                    return "2 connections until the last"
                }
            },
            Step("a node that the target does not allow cannot connect, and leaves nothing") { lab in
                try await withSubsystem(6, anyHost: false) { subsystem in
                    var volume = volume(subsystem)
                    volume.context["access"] = "host"
                    let message = try await refused(.failedPrecondition, "without a publish context") {
                        try await volume.stage()
                    }
                    try check(message.contains("attachRequired"), message)
                    let publish = ["nqn": subsystem.nqn]
                    try await refused(.unavailable, "not allowed") { try await volume.stage(publish: publish) }
                    try lab.checkNothingRemote()
                    try NVMeTarget.allow(host, to: subsystem)
                    try await volume.stage(publish: publish)
                    try await volume.unstage()
                    try lab.checkNothingRemote()
                    return "FAILED_PRECONDITION, UNAVAILABLE, and OK once it is allowed"
                }
            },
            Step("what is not blank is not formatted", quick: false) { lab in
                try await withSubsystem(7) { subsystem in
                    let file = open(subsystem.file(0), O_WRONLY)
                    pwrite(file, "precious", 8, 1000)
                    close(file)
                    try await refused(.failedPrecondition, "NodeStageVolume") { try await volume(subsystem).stage() }
                    try lab.checkNothingRemote()
                    return "FAILED_PRECONDITION"
                }
            },
        ])

    private static func life(_ lab: Lab) async throws -> String {
        try await withSubsystem(1) { subsystem in
            let volume = volume(subsystem)
            let start = ContinuousClock.now
            try await volume.stage()
            let staged = milliseconds(since: start)
            try await volume.stage()
            try await volume.publish()
            let paths = try lab.controllers(of: subsystem.nqn)
            try checkEqual(paths.map(\.state), ["live", "live"], "states of \(paths)")
            try checkEqual(Set(paths.map(\.host)), [host], "host NQNs")
            let mount = try Kernel.mounts(at: volume.targetPath)
            try check(mount.count == 1 && mount[0].source.hasPrefix("/dev/nvme"), "\(mount)")
            let device = mount.first.map { String($0.source.dropFirst(5)) } ?? ""
            try checkEqual(
                try Kernel.read("/sys/class/block/\(device)/uuid").filter { !$0.isNewline }, subsystem.uuids[0], "UUID")
            try Kernel.write("kept", to: "\(volume.targetPath)/file")
            try checkEqual(try await volume.used().count, 2, "usages")
            try await volume.unpublish()
            let end = ContinuousClock.now
            try await volume.unstage()
            let unstaged = milliseconds(since: end)
            try await volume.unstage()
            try lab.checkNothingRemote()
            try await volume.up()
            try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "kept", "the file, after all was gone")
            try await volume.down()
            try lab.checkNothingRemote()
            return "stage \(staged) ms with mkfs, unstage \(unstaged) ms"
        }
    }

    static func volume(_ subsystem: NVMeTarget.Subsystem, _ index: Int = 0) -> RemoteVolume {
        RemoteVolume(
            id: "storage-1:\(subsystem.uuids[index])",
            context: [
                "targetType": "TCP", "targetAddr": NVMeTarget.addresses.joined(separator: ","), "targetPort": "4420",
                "nqn": subsystem.nqn, "model": subsystem.uuids[index], "lvolSize": "67108864", "lvstore": "lvs0",
            ])
    }

    static func subsystem(_ number: Int, namespaces: Int = 1) -> NVMeTarget.Subsystem {
        let uuids = (0..<namespaces).map { "\(number)0000000-0000-4000-8000-00000000000\($0)" }
        return NVMeTarget.Subsystem(nqn: "nqn.2020-04.io.spdk.csi:uuid:\(uuids[0])", uuids: uuids)
    }

    /// For the length of the body; the driver must have let go of it by then.
    static func withSubsystem<R>(
        _ number: Int, namespaces: Int = 1, anyHost: Bool = true,
        _ body: (NVMeTarget.Subsystem) async throws -> R
    ) async throws -> R {
        let subsystem = subsystem(number, namespaces: namespaces)
        let result: Result<R, any Error>
        do { result = .success(try await with(subsystem, anyHost: anyHost, body)) } catch { result = .failure(error) }
        if case .failure = result {
            for index in subsystem.uuids.indices { try? await volume(subsystem, index).down() }
        }
        try NVMeTarget.remove(subsystem)
        return try result.get()
    }

    /// It stays.
    static func with<R>(
        _ subsystem: NVMeTarget.Subsystem, anyHost: Bool = true, _ body: (NVMeTarget.Subsystem) async throws -> R
    ) async throws -> R {
        try NVMeTarget.make(subsystem, anyHost: anyHost)
        return try await body(subsystem)
    }
}
