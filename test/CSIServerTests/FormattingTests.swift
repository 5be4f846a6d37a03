import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Host
import TestSupport
import Testing

@testable import CSIServer

@Suite("Formatting", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct FormattingTests {
    /// What is on the device.
    enum Content: Sendable {
        case blank, ext4, xfs, luks, ambiguous, stain(UInt64)
    }

    enum Outcome: Sendable {
        case formatted, kept, refused
    }

    private static let ends: [UInt64] = [4096 * 3, 16 << 20 - 512]

    @Test(
        "mkfs needs proof that nothing is lost",
        arguments: [
            (.never, .blank, .formatted), (.never, .ext4, .refused), (.never, .xfs, .refused),
            (.never, .luks, .refused), (.never, .ambiguous, .refused),
            (.formatting("ext4"), .blank, .formatted), (.formatting("ext4"), .ext4, .formatted),
            (.formatting("ext4"), .ambiguous, .formatted), (.formatting("ext4"), .xfs, .refused),
            (.formatting("ext4"), .luks, .refused), (.formatting("xfs"), .ext4, .refused),
            (.formatted("ext4"), .ext4, .kept), (.formatted("ext4"), .blank, .refused),
            (.formatted("ext4"), .xfs, .refused), (.formatted("ext4"), .luks, .refused),
            (.formatted("ext4"), .ambiguous, .refused), (.formatted("xfs"), .xfs, .refused),
            (.unknown, .ext4, .kept), (.unknown, .blank, .formatted), (.unknown, .stain(ends[0]), .refused),
            (.unknown, .stain(ends[1]), .refused), (.unknown, .xfs, .refused), (.unknown, .luks, .refused),
            (.unknown, .ambiguous, .refused), (.block, .ext4, .kept), (.block, .blank, .refused),
            (.block, .xfs, .refused), (.block, .luks, .refused), (.block, .ambiguous, .refused),
        ] as [(VolumeRecord.Format, Content, Outcome)])
    func decision(format: VolumeRecord.Format, content: Content, outcome: Outcome) async throws {
        try await withRealVolume { volume, _ in
            let device = try await volume.attach()
            try await put(content, on: device)
            try volume.set(format)
            let (before, identifier) = try (identity(of: device), uuid(of: device))
            if case .refused = outcome {
                await expect(.failedPrecondition, volume.id) { try await volume.stage() }
                #expect(volume.format == format)
                #expect(try identity(of: device) == before)
                #expect(try await volume.mountPoints() == [])
                return
            }
            try await volume.stage()
            #expect(volume.format == (format == .block ? .block : .formatted("ext4")))
            #expect(try MountTable.current().at(volume.staging)?.type == "ext4")
            let isKept = if case .kept = outcome { true } else { false }
            #expect(try (uuid(of: device) == identifier) == isKept)
        }
    }

    /// The first 128 KiB and the last 4: all signatures that libblkid knows here.
    private func identity(of device: String) throws -> [UInt8] {
        try read(128 << 10, from: device) + read(4096, from: device, at: 16 << 20 - 4096)
    }

    /// The file system's own identifier, in the superblock of an ext4.
    private func uuid(of device: String) throws -> [UInt8] { try read(16, from: device, at: 1024 + 0x68) }

    private func put(_ content: Content, on device: String) async throws {
        switch content {
        case .blank: break
        case .ext4:
            try await Filesystem.make(.ext4, on: BlockDevice(path: device))
        // As libblkid sees it; a real one needs 300 MiB.
        case .xfs: try writeXFS(to: device)
        case .luks: try write([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 1], to: device)
        case .ambiguous:
            try await Filesystem.make(.ext4, on: BlockDevice(path: device))
            try write(Array("_BHRfS_M".utf8), to: device, at: 65536 + 64)
        case .stain(let offset): try write([1], to: device, at: offset)
        }
        let found = try Filesystem.probe(BlockDevice(path: device))
        switch content {
        case .blank, .stain: try #require(found == .nothing)
        case .ext4: try #require(found == .filesystem("ext4"))
        case .xfs: try #require(found == .filesystem("xfs"))
        case .luks: try #require(found == .other("crypto_LUKS"))
        case .ambiguous: try #require(found == .ambiguous)
        }
    }

    private func writeXFS(to device: String) throws {
        let image = try LoopDevice(size: 300 << 20)
        let process = popen("mkfs.xfs -q \(image.path) 2>&1", "r")
        try #require(process != nil && pclose(process) == 0)
        try write(read(4096, from: image.path), to: device)
    }

    @Test("a mkfs that fails is begun again by the next call")
    func mkfsFails() async throws {
        try await withRealVolume { volume, _ in
            // The exclusive open that mkfs makes fails while somebody else has one.
            let device = try await volume.attach()
            let holder = open(device, O_RDONLY | O_EXCL | O_CLOEXEC)
            await expect(.failedPrecondition, device) { try await volume.stage() }
            #expect(volume.format == .formatting("ext4"))
            close(holder)
            try await volume.stage()
            #expect(volume.format == .formatted("ext4"))
        }
    }

    @Test("file systems have blocks of 4 KiB")
    func blocks() async throws {
        try await withRealVolume { volume, _ in
            try await volume.stage()
            var status = statvfs()
            #expect(statvfs(volume.staging, &status) == 0)
            #expect(status.f_bsize == 4096)
        }
    }
}
