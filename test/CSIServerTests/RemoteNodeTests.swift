import CSIProto
import DeviceManager
import FoundationEssentials
import GRPCCore
import Glibc
import Host
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

private func mounts(below directory: String) throws -> [Mount] {
    try MountTable.current().mounts.filter { $0.mountPoint.hasPrefix(directory + "/") }
}

@Suite("Volumes of storage targets on a node", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct RemoteNodeTests {
    @Test func `a life leaves no mount, no connection and no record; every call may come twice`() async throws {
        try await withTarget { driver, volumes, initiator, _ in
            let volume = volumes[0]
            for _ in 0..<2 { try await driver.stage(volume) }
            for _ in 0..<2 { try await driver.publish(volume) }
            try write("kept", to: "\(volume.target)/file")
            #expect(driver.attachments.all.map(\.phase) == [.attached])
            #expect(driver.attachments.all.map(\.format) == [.formatted("ext4")])
            let usage = try await driver.client.nodeGetVolumeStats(
                .with { ($0.volumeID, $0.volumePath) = (volume.id, volume.target) }
            ).usage
            #expect(usage.map(\.unit) == [.bytes, .inodes])
            for _ in 0..<2 { try await driver.unpublish(volume) }
            for _ in 0..<2 { try await driver.unstage(volume) }
            #expect(initiator.connected.isEmpty)
            #expect(driver.attachments.all.isEmpty)
            #expect(try mounts(below: volume.directory).isEmpty)

            try await driver.stage(volume)
            #expect(try read("\(volume.staging)/file") == "kept")
            try await driver.unstage(volume)
        }
    }

    @Test func `a raw device may be written by many nodes, a file system may not`() async throws {
        try await withTarget { driver, volumes, initiator, devices in
            let volume = volumes[0]
            await expect(.invalidArgument, "MULTI_NODE_MULTI_WRITER", "raw block") {
                try await driver.stage(volume, .mount("ext4", .multiNodeMultiWriter))
            }
            let many = Csi_V1_VolumeCapability.block(.multiNodeMultiWriter)
            try await driver.stage(volume, many)
            try await driver.publish(volume, many)
            #expect(try BlockDevice(path: volume.target).number() == BlockDevice(path: devices[0]).number())
            #expect(driver.attachments.all.map(\.format) == [.block])
            try await driver.unpublish(volume)
            try await driver.unstage(volume)
            #expect(initiator.connected.isEmpty)
        }
    }

    @Test func `many readers mount without replaying a log, and nobody formats for them`() async throws {
        try await withTarget { driver, volumes, initiator, _ in
            let readers = Csi_V1_VolumeCapability.mount("ext4", .multiNodeReaderOnly)
            await expect(.failedPrecondition, "no file system yet") { try await driver.stage(volumes[0], readers) }
            #expect(initiator.connected.isEmpty)
            try await driver.stage(volumes[0])
            try await driver.unstage(volumes[0])
            try await driver.stage(volumes[0], readers)
            let mount = try #require(try MountTable.current().at(volumes[0].staging))
            #expect(mount.isReadOnly && mount.superOptions.contains("norecovery"))
            try await driver.unstage(volumes[0])
        }
    }

    @Test func `a node that was not let in does not even connect`() async throws {
        try await withTarget { driver, volumes, initiator, _ in
            var volume = volumes[0]
            volume.access = "host"
            await expect(.failedPrecondition, "attachRequired", volume.id) { try await driver.stage(volume) }
            #expect(initiator.connects == 0)
            #expect(driver.attachments.all.isEmpty)
            try await driver.stage(volume, publish: ["targetAddr": "10.0.0.2"])
            #expect(driver.attachments.all.first?.volume.addresses.map(\.host) == ["10.0.0.2"])
            try await driver.unstage(volume)
        }
    }

    @Test func `what is not blank is not formatted, and not kept connected`() async throws {
        try await withTarget { driver, volumes, initiator, devices in
            let file = open(devices[0], O_WRONLY)
            pwrite(file, "precious", 8, 512 << 10)
            close(file)
            await expect(.failedPrecondition, "nothing is formatted") { try await driver.stage(volumes[0]) }
            #expect(initiator.connected.isEmpty)
            #expect(driver.attachments.all.isEmpty)
        }
    }

    @Test func `a target that is not reached leaves nothing`() async throws {
        try await withTarget { driver, volumes, initiator, _ in
            initiator.fail(with: DeviceError(.unavailable, "connection refused"))
            await expect(.unavailable, "connection refused") { try await driver.stage(volumes[0]) }
            #expect(driver.attachments.all.isEmpty)
            initiator.fail(with: nil)
            try await driver.stage(volumes[0])
            try await driver.unstage(volumes[0])
        }
    }

    @Test func `the connection stays while another volume uses it`() async throws {
        try await withTarget(volumes: 2, subsystem: "nqn.2014-08.org.example:shared") { driver, volumes, initiator, _ in
            for volume in volumes { try await driver.stage(volume) }
            try await driver.unstage(volumes[0])
            #expect(initiator.connected.count == 1)
            try write("x", to: "\(volumes[1].staging)/file")
            try await driver.unstage(volumes[1])
            #expect(initiator.connected.isEmpty)
        }
    }

    @Test func `a device that a process has open is not taken away`() async throws {
        try await withTarget { driver, volumes, initiator, devices in
            let volume = volumes[0]
            try await driver.stage(volume, .block())
            let file = open(devices[0], O_RDONLY | O_CLOEXEC)
            await expect(.failedPrecondition, "open in some process") { try await driver.unstage(volume) }
            #expect(initiator.connected.count == 1)
            close(file)
            try await driver.unstage(volume)
            #expect(initiator.connected.isEmpty)
        }
    }

    @Test func `a volume that has grown on its target grows where it is mounted`() async throws {
        try await withTarget { driver, volumes, _, devices in
            let volume = volumes[0]
            try await driver.stage(volume)
            try await driver.publish(volume)
            let before = try Filesystem.usage(at: volume.target).bytes.total
            await expect(.outOfRange, "ControllerExpandVolume") { try await expand(driver, volume, to: 32 << 20) }
            try BackingFile(path: "\(volume.directory)/volume-0").grow(
                from: 16 << 20, to: 32 << 20, allocated: false)
            let loop = try #require(try LoopAttachment.all().first { $0.loop.path == devices[0] }?.loop)
            try loop.updateSize()
            if Filesystem.canGrowMounted(.ext4) {
                #expect(try await expand(driver, volume, to: 32 << 20) == 32 << 20)
            } else {
                await expect(.failedPrecondition, "CAP_SYS_RESOURCE") {
                    try await expand(driver, volume, to: 32 << 20)
                }
                try await driver.unpublish(volume)
                try await driver.unstage(volume)
                try await driver.stage(volume)
                try await driver.publish(volume)
            }
            #expect(try Filesystem.usage(at: volume.target).bytes.total > before + before / 2)
            try await driver.unpublish(volume)
            try await driver.unstage(volume)
        }
    }

    @discardableResult
    private func expand(_ driver: RemoteDriver, _ volume: TargetVolume, to size: Int64) async throws -> Int64 {
        try await driver.client.nodeExpandVolume(
            .with {
                ($0.volumeID, $0.volumePath, $0.capacityRange.requiredBytes) = (volume.id, volume.target, size)
            }
        ).capacityBytes
    }

    @Test func `what spdk-csi has staged comes down`() async throws {
        try await withTarget { driver, volumes, initiator, devices in
            let volume = volumes[0]
            try await driver.stage(volume)
            try await driver.unstage(volume)
            // As that driver leaves it: the mount below the staging path, the context beside it.
            let remote = try RemoteVolume(
                id: volume.id, volumeContext: volume.context, publishContext: [:], timeouts: PathTimeouts())
            _ = try await initiator.connect(remote, as: TargetVolume.host)
            let old = try makeDirectory("\(volume.staging)/\(volume.id)")
            try Mounter.mount(device: devices[0], at: old, type: .ext4, options: [], readOnly: false)
            try JSONEncoder().encode(volume.context).write(to: URL(filePath: "\(volume.staging)/volume-context.json"))
            try await driver.publish(volume)
            try write("x", to: "\(volume.target)/file")
            try await driver.unpublish(volume)
            try await driver.unstage(volume)
            #expect(initiator.connected.isEmpty)
            #expect(try content(of: volume.staging).isEmpty)
        }
    }
}
