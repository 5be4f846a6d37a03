import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Host
import TestSupport
import Testing

@testable import CSIServer

@Suite("Volumes with xfs", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct XFSTests {
    @Test("they are formatted and mounted like any other, and keep their type")
    func life() async throws {
        try await withRealVolume(size: 320 * mib) { volume, _ in
            for _ in 0..<2 { try await volume.stage(.mount("xfs")) }
            try await volume.publish(.mount("xfs"))
            #expect(try MountTable.current().at(volume.target)?.type == "xfs")
            try write([5], to: "\(volume.target)/file")
            await expect(.alreadyExists, volume.staging) { try await volume.stage() }
            await expect(.alreadyExists, volume.target) { try await volume.publish() }
            try await volume.unpublish()
            await expect(.failedPrecondition, "xfs") { try await volume.publish() }
            try await volume.unstage()
            await expect(.failedPrecondition, "xfs") { try await volume.stage() }
            try await volume.stage(.mount("xfs"))
            #expect(try read(1, from: "\(volume.staging)/file") == [5])
        }
    }

    @Test("a volume that is too small for xfs stays blank, so that ext4 is still possible")
    func tooSmall() async throws {
        try await withRealVolume { volume, _ in
            await expect(.failedPrecondition, volume.id, "xfs") { try await volume.stage(.mount("xfs")) }
            #expect(volume.format == .never)
            try await volume.stage()
        }
    }

    @Test("a copy is mounted beside its source, whichever comes first", arguments: [true, false])
    func copy(sourceFirst: Bool) async throws {
        try await withRealVolume(size: 320 * mib) { source, directory in
            try await source.stage(.mount("xfs"))
            try write([9], to: "\(source.staging)/file")
            try await source.unstage()
            let id = try await source.driver.create(.real("copy", size: 320 * mib)).volumeID
            let copy = RealVolume(
                driver: source.driver, id: id, staging: try makeDirectory("\(directory)/copy"),
                target: "\(directory)/copied")
            try await copyContent(from: source.attach(), to: copy.attach())
            try copy.change {
                $0.source = .volume(source.id)
                $0.format = .formatted("xfs")
            }
            for volume in sourceFirst ? [source, copy] : [copy, source] {
                for _ in 0..<2 { try await volume.stage(.mount("xfs")) }
                try await volume.publish(.mount("xfs"))
                #expect(try read(1, from: "\(volume.target)/file") == [9])
            }
            for volume in [source, copy] {
                try write([1], to: "\(volume.target)/file")
                try await volume.unpublish()
                try await volume.unstage()
            }
        }
    }

    private func copyContent(from source: String, to target: String) throws {
        let process = popen("dd if=\(source) of=\(target) bs=1M conv=sparse,fsync status=none", "r")
        try #require(process != nil && pclose(process) == 0)
    }
}
