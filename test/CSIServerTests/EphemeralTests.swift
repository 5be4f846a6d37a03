import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Host
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("Inline volumes of pods", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct EphemeralTests {
    /// As kubelet names them.
    private static let id = "csi-" + String(repeating: "0123456789abcdef", count: 4)

    @Test("one call makes, formats and mounts it, one removes all of it")
    func life() async throws {
        try await withRealDriver { driver, directory in
            let target = "\(directory)/target"
            for _ in 0..<2 { try await driver.publishInline(Self.id, at: target) }
            try write([1], to: "\(target)/file")
            #expect(try await driver.listedIDs() == [])
            #expect(driver.records.all.map(\.kind) == [.ephemeral])
            #expect(try await driver.stats(Self.id, at: target).map(\.unit) == [.bytes, .inodes])
            for _ in 0..<2 { try await driver.unpublishInline(Self.id, at: target) }
            #expect(driver.records.all.isEmpty && !exists(target))
            #expect(try await driver.hasNoDevices())
            // The next pod's is empty.
            try await driver.publishInline(Self.id, at: target)
            #expect(!exists("\(target)/file"))
            try await driver.unpublishInline(Self.id, at: target)
        }
    }

    @Test("file system and parameters are as the pod says", arguments: [("xfs", "320Mi"), ("ext4", "17Mi")])
    func attributes(type: String, size: String) async throws {
        try await withRealDriver { driver, directory in
            let target = "\(directory)/target"
            try await driver.publishInline(Self.id, at: target) {
                $0.volumeCapability = .mount(type, flags: ["noatime"])
                $0.volumeContext["size"] = size
                $0.volumeContext["eraseafter"] = "false"
                $0.volumeContext["csi.storage.k8s.io/pod.name"] = "pod"
            }
            let mount = try #require(try MountTable.current().at(target))
            #expect(mount.type == type && mount.options.contains("noatime"))
            let record = try #require(driver.records.all.first)
            #expect(!record.parameters.eraseAfter && Int64(record.size) >= 17 * mib)
            try await driver.unpublishInline(Self.id, at: target)
        }
    }

    @Test("read-only is really read-only")
    func readOnly() async throws {
        try await withRealDriver { driver, directory in
            let target = "\(directory)/target"
            for _ in 0..<2 { try await driver.publishInline(Self.id, at: target) { $0.readonly = true } }
            let failure = #expect(throws: SystemFailure.self) { try write([1], to: "\(target)/file") }
            #expect(failure?.number == EROFS)
            await expect(.alreadyExists, target) { try await driver.publishInline(Self.id, at: target) }
            try await driver.unpublishInline(Self.id, at: target)
        }
    }

    @Test("a wrong request is refused by name and leaves nothing")
    func refused() async throws {
        try await withRealDriver { driver, directory async throws in
            typealias Request = Csi_V1_NodePublishVolumeRequest
            let target = "\(directory)/target"
            let wrong: [(String, (inout Request) -> Void)] = [
                ("size", { $0.volumeContext["size"] = nil }), ("size", { $0.volumeContext["size"] = "much" }),
                ("size", { $0.volumeContext["size"] = "0" }), ("size", { $0.volumeContext["size"] = "-1Gi" }),
                ("colour", { $0.volumeContext["colour"] = "red" }),
                ("eraseafter", { $0.volumeContext["eraseafter"] = "perhaps" }),
                ("raw block", { $0.volumeCapability = .block() }),
                ("btrfs", { $0.volumeCapability = .mount("btrfs") }),
                (target, { $0.volumeCapability = .mount(flags: ["nonsense=1"]) }),
            ]
            for (word, change) in wrong {
                await expect(.invalidArgument, word) { try await driver.publishInline(Self.id, at: target, change) }
                #expect(driver.records.all.isEmpty && !exists(target))
            }
            await expect(.resourceExhausted) {
                try await driver.publishInline(Self.id, at: target) { $0.volumeContext["size"] = "64Ti" }
            }
            #expect(driver.records.all.isEmpty && !exists(target))
            #expect(try await driver.hasNoDevices())
        }
    }

    @Test("a failed repetition does not take away what is there")
    func failedRepetition() async throws {
        try await withRealDriver { driver, directory in
            let target = "\(directory)/target"
            try await driver.publishInline(Self.id, at: target)
            try write([1], to: "\(target)/file")
            await expect(.alreadyExists) {
                try await driver.publishInline(Self.id, at: target) { $0.volumeContext["size"] = "64Mi" }
            }
            await expect(.alreadyExists, target) {
                try await driver.publishInline(Self.id, at: target) { $0.volumeCapability = .mount(flags: ["sync"]) }
            }
            await expect(.failedPrecondition, target) {
                try await driver.publishInline(Self.id, at: "\(directory)/second")
            }
            #expect(!exists("\(directory)/second"))
            // Its pod has it somewhere else.
            await expect(.failedPrecondition) { try await driver.unpublish(Self.id, at: "\(directory)/second") }
            #expect(try read(1, from: "\(target)/file") == [1])
            try await driver.unpublishInline(Self.id, at: target)
        }
    }

    @Test("what is cut off anywhere is finished or taken back")
    func cutOff() async throws {
        try await withRealDriver { driver, directory in
            let target = "\(directory)/target"
            try await driver.publishInline(Self.id, at: target)
            let id = try #require(driver.records.all.first?.id)
            // Unmounted, not deleted yet.
            #expect(umount2(target, 0) == 0)
            try await driver.unpublishInline(Self.id, at: target)
            #expect(driver.records.all.isEmpty && !exists(target))
            // Made, not formatted; and formatted, not mounted.
            for format in [VolumeRecord.Format.never, .formatting("ext4"), .formatted("ext4")] {
                try await driver.publishInline(Self.id, at: target)
                #expect(umount2(target, 0) == 0)
                var record = try #require(driver.records.all.first)
                #expect(record.id == id)
                if format == .never {
                    let manager = driver.pool.manager
                    let location = try #require(record.location)
                    let path = try await manager.attach(try #require(VolumeID(id)), location: location)
                    try BlockDevice(path: path).zeroEnds()
                }
                record.format = format
                try driver.records.save(record)
                try await driver.publishInline(Self.id, at: target)
                #expect(try MountTable.current().at(target)?.type == "ext4")
                try await driver.unpublishInline(Self.id, at: target)
            }
            #expect(driver.records.all.isEmpty)
        }
    }

    @Test("it is no volume to any other call")
    func otherCalls() async throws {
        try await withRealDriver { driver, directory in
            let target = "\(directory)/target"
            try await driver.publishInline(Self.id, at: target)
            let device = try #require(driver.records.all.first?.id)
            for id in [Self.id, device] {
                await expect(.notFound) { try await driver.stage(id, at: directory) }
                await expect(.notFound) { try await driver.publish(id) }
                _ = try? await driver.delete(id)
            }
            #expect(driver.records.all.map(\.phase) == [.ready])
            #expect(try MountTable.current().at(target) != nil)
            let volume = try await driver.create(.real("a", size: 16 * mib)).volumeID
            await expect(.invalidArgument, volume) { try await driver.publishInline(volume, at: "\(directory)/b") }
            try await driver.unpublishInline(Self.id, at: target)
        }
    }
}

extension Driver {
    /// 16 MiB, unless the change says otherwise.
    func publishInline(
        _ id: String, at target: String, _ change: (inout Csi_V1_NodePublishVolumeRequest) -> Void = { _ in }
    ) async throws {
        var request = Csi_V1_NodePublishVolumeRequest.with {
            $0.volumeID = id
            $0.targetPath = target
            $0.volumeCapability = .mount()
            $0.volumeContext = ["csi.storage.k8s.io/ephemeral": "true", "size": "16Mi"]
        }
        change(&request)
        _ = try await node.nodePublishVolume(request)
    }

    func hasNoDevices() async throws -> Bool { try await pool.manager.volumes().isEmpty }

    func unpublishInline(_ id: String, at target: String) async throws {
        try await whileBusy { try await unpublish(id, at: target) }
    }
}
