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

@Suite("Volumes of storage targets after a crash", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct RemoteCrashTests {
    /// A record as a crash leaves it, and what is connected.
    private func withRecord(
        _ phase: AttachmentRecord.Phase, _ format: VolumeRecord.Format = .unknown, boot: String? = nil,
        _ body: (RemoteDriver, TargetVolume, LoopInitiator, String) async throws -> Void
    ) async throws {
        try await withTarget { driver, volumes, initiator, devices in
            let volume = volumes[0]
            let remote = try RemoteVolume(
                id: volume.id, volumeContext: volume.context, publishContext: [:], timeouts: PathTimeouts())
            var record = AttachmentRecord(
                remote, as: TargetVolume.host, phase: phase, stagingPath: volume.staging)
            record.format = format
            if let boot { record.boot = boot }
            try await driver.attachments.save(record)
            if boot == nil && phase != .detached { _ = try await initiator.connect(remote, as: TargetVolume.host) }
            try await body(driver, volume, initiator, devices[0])
        }
    }

    @Test(
        "a start ends what was never answered and what was under way, and forgets what a reboot ended",
        arguments: [
            (.attaching, nil, false, 0), (.detaching, nil, false, 0), (.attached, nil, true, 1),
            (.attached, "earlier", false, 0), (.attaching, "earlier", false, 0), (.detaching, "earlier", false, 0),
        ] as [(AttachmentRecord.Phase, String?, Bool, Int)])
    func recovery(phase: AttachmentRecord.Phase, boot: String?, isConnected: Bool, records: Int) async throws {
        try await withRecord(phase, boot: boot) { driver, volume, initiator, _ in
            try await driver.recover()
            #expect(initiator.connected.isEmpty == !isConnected)
            #expect(driver.attachments.all.count == records)
            // And whatever was there, a life follows.
            try await driver.stage(volume)
            try await driver.unstage(volume)
            #expect(initiator.connected.isEmpty && driver.attachments.all.isEmpty)
        }
    }

    @Test func `what is mounted after all is not disconnected by a start`() async throws {
        try await withRecord(.attaching, .formatting("ext4")) { driver, volume, initiator, device in
            try await Filesystem.make(.ext4, on: BlockDevice(path: device))
            let staging = try makeDirectory(volume.staging)
            try Mounter.mount(device: device, at: staging, type: .ext4, options: [], readOnly: false)
            try write("x", to: "\(staging)/file")
            try await driver.recover()
            #expect(initiator.connected.count == 1)
            try await driver.stage(volume)
            #expect(driver.attachments.all.map(\.phase) == [.attached])
            try await driver.unstage(volume)
            #expect(initiator.connected.isEmpty)
        }
    }

    @Test func `a mkfs that was cut off is made again, also after unstaging`() async throws {
        try await withRecord(.attaching, .formatting("ext4")) { driver, volume, initiator, device in
            // As its middle leaves it: something at the ends that nobody knows.
            let file = open(device, O_WRONLY)
            pwrite(file, "half", 4, 700 << 10)
            close(file)
            try await driver.unstage(volume)
            #expect(initiator.connected.isEmpty)
            #expect(driver.attachments.all.map(\.phase) == [.detached])
            try await driver.stage(volume)
            try await driver.unstage(volume)
            #expect(driver.attachments.all.isEmpty)
        }
    }

    @Test func `a file system that was used since is not made again, whatever the record says`() async throws {
        try await withRecord(.detached, .formatting("ext4")) { driver, volume, _, device in
            try await Filesystem.make(.ext4, on: BlockDevice(path: device))
            let elsewhere = try makeDirectory("\(volume.directory)/other-node")
            try Mounter.mount(device: device, at: elsewhere, type: .ext4, options: [], readOnly: false)
            try write("precious", to: "\(elsewhere)/file")
            try Mounter.unmount(elsewhere)
            try await driver.stage(volume)
            #expect(try read("\(volume.staging)/file") == "precious")
            try await driver.unstage(volume)
        }
    }

    /// The records as they are at this moment, which is all that a killed driver leaves beside what is connected.
    @Test(
        "killed between two steps of staging or unstaging, the next start leaves no connection behind",
        arguments: [
            (LoopInitiator.Moment.beforeConnecting, false), (.afterConnecting, true), (.beforeDisconnecting, true),
            (.afterDisconnecting, false),
        ])
    func kill(moment: LoopInitiator.Moment, isConnected: Bool) async throws {
        try await withDirectory { directory in
            defer { detachAll(below: directory) }
            do {
                let device = try makeLoop("\(directory)/volume", size: 16 << 20)
                let volume = TargetVolume(uuid: TargetVolume.uuid(1), directory: directory)
                let devices = ["\(volume.nqn) \(volume.uuid)": device]
                let initiator = LoopInitiator(devices: devices) { seen in
                    guard seen == moment, !FileManager.default.fileExists(atPath: "\(directory)/left/state") else {
                        return
                    }
                    try FileManager.default.createDirectory(
                        atPath: "\(directory)/left", withIntermediateDirectories: true)
                    try FileManager.default.copyItem(atPath: "\(directory)/state", toPath: "\(directory)/left/state")
                }
                try await withRemoteDriver(initiator, in: directory) { driver in
                    try await driver.stage(volume)
                    try await driver.unstage(volume)
                }
                let after = LoopInitiator(devices: devices)
                if isConnected {
                    let remote = try RemoteVolume(
                        id: volume.id, volumeContext: volume.context, publishContext: [:], timeouts: PathTimeouts())
                    _ = try await after.connect(remote, as: TargetVolume.host)
                }
                try await withRemoteDriver(after, in: "\(directory)/left") { driver in
                    #expect(driver.attachments.all.count == 1)
                    try await driver.recover()
                    #expect(after.connected.isEmpty && driver.attachments.all.isEmpty)
                    try await driver.stage(volume)
                    try await driver.unstage(volume)
                    #expect(after.connected.isEmpty && driver.attachments.all.isEmpty)
                }
            }
        }
    }
}
