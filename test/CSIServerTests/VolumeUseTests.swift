import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Host
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("How full a volume is", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct VolumeStatsTests {
    @Test("bytes and inodes are those of the file system, at both paths", arguments: ["ext4", "xfs"])
    func filesystem(type: String) async throws {
        try await withRealVolume(size: 320 * mib) { volume, _ in
            try await volume.stage(.mount(type))
            try await volume.publish(.mount(type))
            for path in [volume.staging, volume.target] {
                let before = try await volume.stats(at: path)
                #expect(before.map(\.unit) == [.bytes, .inodes])
                #expect(before.allSatisfy { $0.total > 0 && $0.used + $0.available <= $0.total })
                try write([UInt8](repeating: 1, count: 1 << 20), to: "\(path)/file-\(path.utf8.count)")
                let after = try await volume.stats(at: path)
                #expect(after[0].used >= before[0].used + 1 << 20)
                #expect(after[1].used == before[1].used + 1)
            }
        }
    }

    @Test("of a raw block device the size is known, at both paths")
    func block() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage(.block())
            try await volume.publish(.block())
            for path in [volume.staging, volume.target] {
                let usage = try await volume.stats(at: path)
                #expect(
                    usage == [
                        .with {
                            $0.unit = .bytes; $0.total = 16 * mib
                        }
                    ])
            }
        }
    }

    @Test("where the volume is not, there is no answer", arguments: [true, false])
    func notThere(isBlock: Bool) async throws {
        try await withRealVolume { volume, directory in
            let capability = isBlock ? Csi_V1_VolumeCapability.block() : .mount()
            await expect(.notFound, volume.staging) { _ = try await volume.stats(at: volume.staging) }
            try await volume.stage(capability)
            try await volume.publish(capability)
            let other = try makeDirectory("\(directory)/other")
            for path in ["/", "/dev", directory, other, "\(directory)/missing", "/proc"] {
                await expect(.notFound, path) { _ = try await volume.stats(at: path) }
                await expect(.notFound, path) { _ = try await volume.stats(at: volume.target, staging: path) }
            }
            _ = try await volume.stats(at: volume.target, staging: volume.staging)
            if !isBlock {
                let inner = try makeDirectory("\(volume.target)/directory")
                await expect(.notFound, inner) { _ = try await volume.stats(at: inner) }
            }
            // Another volume's path.
            let id = try await volume.driver.create(.real("other", size: 16 * mib)).volumeID
            try await volume.driver.stage(id, at: other)
            await expect(.notFound, other) { _ = try await volume.stats(at: other) }
            await expect(.notFound, "x") { _ = try await volume.driver.stats("x", at: volume.target) }
            await expect(.invalidArgument, "volume_path") { _ = try await volume.stats(at: "") }
            await expect(.invalidArgument, "staging_target_path") {
                _ = try await volume.stats(at: volume.target, staging: "relative")
            }
        }
    }
}

@Suite("File systems follow their volume", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct NodeExpansionTests {
    /// What the kernel lets this process grow while it is mounted.
    private static let growing: [(FilesystemType, Int64)] = [(.ext4, 16 * mib), (.xfs, 320 * mib)]
        .filter { Filesystem.canGrowMounted($0.0) }

    @Test("a file system grows while it is written to", arguments: growing)
    func online(filesystem: FilesystemType, size: Int64) async throws {
        let type = filesystem.rawValue
        try await withRealVolume(size: size) { volume, _ in
            try await volume.stage(.mount(type))
            try await volume.publish(.mount(type))
            let writer = Task {
                var count: UInt8 = 0
                while !Task.isCancelled {
                    count &+= 1
                    try write([UInt8](repeating: count, count: 4096), to: "\(volume.target)/file")
                    await Task.yield()
                }
            }
            let before = try await volume.stats(at: volume.target)[0].total
            for (path, capability) in [
                (volume.staging, nil), (volume.target, .mount(type)), (volume.target, nil),
            ] as [(String, Csi_V1_VolumeCapability?)] {
                try await volume.expand(to: 2 * size)
                let answer = try await volume.expandNode(at: path, to: 2 * size, capability)
                #expect(answer == 2 * size)
            }
            writer.cancel()
            try await writer.value
            #expect(try await volume.stats(at: volume.target)[0].total > before + size * 9 / 10)
            #expect(try read(1, from: "\(volume.target)/file") != [0])
        }
    }

    @Test("what the volume has not is refused, and what it has already is fine")
    func sizes() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            for size in [0, 1, 16 * mib] {
                #expect(try await volume.expandNode(at: volume.staging, to: size) == 16 * mib)
            }
            await expect(.outOfRange, volume.id, "ControllerExpandVolume") {
                _ = try await volume.expandNode(at: volume.staging, to: 16 * mib + 1)
            }
            await expect(.outOfRange, volume.id, "limit_bytes") {
                _ = try await volume.expandNode(at: volume.staging, to: 1, limit: 15 * mib)
            }
            await expect(.invalidArgument, "capacity_range") {
                _ = try await volume.expandNode(at: volume.staging, to: -1)
            }
        }
    }

    @Test("the volume must be there, and be used as the request says")
    func places() async throws {
        try await withRealVolume { volume, directory in
            await expect(.notFound, volume.staging) { _ = try await volume.expandNode(at: volume.staging, to: 1) }
            try await volume.stage()
            await expect(.notFound, directory) { _ = try await volume.expandNode(at: directory, to: 1) }
            for capability in [Csi_V1_VolumeCapability.block(), .mount("xfs"), .mount("btrfs")] {
                await expect(.invalidArgument) {
                    _ = try await volume.expandNode(at: volume.staging, to: 1, capability)
                }
            }
            await expect(.notFound, "unknown") {
                _ = try await volume.driver.node.nodeExpandVolume(
                    .with {
                        $0.volumeID = "unknown"; $0.volumePath = volume.staging
                    })
            }
        }
    }

    @Test("a raw block device is as large as its volume at once")
    func block() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage(.block())
            try await volume.publish(.block())
            try await volume.expand(to: 32 * mib)
            #expect(try BlockDevice(path: volume.target).size() == 32 << 20)
            for path in [volume.staging, volume.target] {
                #expect(try await volume.expandNode(at: path, to: 32 * mib, .block()) == 32 * mib)
            }
        }
    }

    @Test("a read-only publication is no obstacle while the file system can be written to")
    func readOnly() async throws {
        try await withRealVolume(size: 320 * mib) { volume, _ in
            try await volume.stage(.mount("xfs"))
            try await volume.publish(readOnly: true, .mount("xfs"))
            try await volume.expand(to: 400 * mib)
            let before = try await volume.stats(at: volume.target)[0].total
            #expect(try await volume.expandNode(at: volume.target, to: 400 * mib) == 400 * mib)
            #expect(try await volume.stats(at: volume.target)[0].total > before + 70 * mib)
            try await volume.unpublish()
            try await volume.unstage()
            try await volume.stage(.mount("xfs", flags: ["ro"]))
            try await volume.expand(to: 480 * mib)
            await expect(.failedPrecondition, "read-only") {
                _ = try await volume.expandNode(at: volume.staging, to: 480 * mib)
            }
        }
    }

    @Test(
        "an ext4 that may not grow while it is mounted grows with the next stage",
        .enabled(if: !Filesystem.canGrowMounted(.ext4), "this process may grow it"))
    func notPermitted() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            try await volume.expand(to: 32 * mib)
            await expect(.failedPrecondition, "CAP_SYS_RESOURCE") {
                _ = try await volume.expandNode(at: volume.staging, to: 32 * mib)
            }
            try await volume.unstage()
            try await volume.stage()
            #expect(try await volume.expandNode(at: volume.staging, to: 32 * mib) == 32 * mib)
        }
    }

    @Test(
        "a volume that grew while nobody used it has the larger file system with the next stage",
        arguments: [("ext4", 16 * mib), ("xfs", 320 * mib)])
    func atStage(type: String, size: Int64) async throws {
        try await withRealVolume(size: size) { volume, _ in
            try await volume.stage(.mount(type))
            try await volume.unstage()
            try await volume.expand(to: size + 64 * mib)
            try await volume.stage(.mount(type, flags: ["ro"]))
            let before = try await volume.stats(at: volume.staging)[0].total
            try await volume.unstage()
            try await volume.stage(.mount(type))
            #expect(try await volume.stats(at: volume.staging)[0].total > before + 50 * mib)
        }
    }
}
