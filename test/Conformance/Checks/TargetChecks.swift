import CSIProto
import GRPCCore
import Glibc
import SwiftProtobuf

/// Target paths that are not free: refused, or used and given back with all that was there.
enum TargetChecks {
    static let topic = Topic(
        "Target paths that are taken",
        [
            Check("a directory that holds a file") { driver in
                let volume = try await driver.volume()
                let file = try filled(directory: volume.target)
                try await volume.attachIt()
                try await volume.stageIt()
                return try await unharmed(volume.publish, file, driver)
            },
            Check("a file with content, for a device", needs: [.block]) { driver in
                let volume = try await driver.volume("block", .block())
                try await volume.attachIt()
                try await volume.stageIt()
                try Payload(seed: 24).write(to: volume.target)
                return try await unharmed(volume.publish, volume.target, driver)
            },
            Check("a directory that holds a file, for an inline volume", needs: [.ephemeral]) { driver in
                let publish = try driver.ephemeral("taken")
                return try await unharmed(publish, try filled(directory: publish.targetPath), driver)
            },
            Check("a link to a directory that holds a file") { driver in
                let volume = try await driver.volume()
                try await volume.attachIt()
                try await volume.stageIt()
                let file = try filled(directory: "\(volume.directory)/elsewhere")
                guard symlink("../elsewhere", volume.target) == 0 else { throw Disk.failure("link", volume.target) }
                return try await unharmed(volume.publish, file, driver)
            },
            Check("unpublished where there never was a volume") { driver in
                let volume = try await driver.volume()
                let file = try filled(directory: volume.target)
                for path in [volume.target, file] {
                    try await driver.expect(
                        .ok, .failedPrecondition, .notFound, .invalidArgument,
                        of: volume.unpublish.changing { $0.targetPath = path }, "at \(path)")
                    try Payload(seed: 24).check(file, "afterwards")
                }
                return "a directory with a file, and the file"
            },
        ])

    private static func filled(directory: String) throws -> String {
        try Disk.makeDirectory(directory)
        try Payload(seed: 24).write(to: "\(directory)/file")
        return "\(directory)/file"
    }

    /// Whatever the driver does about it, the way back must work and the content stay.
    private static func unharmed(
        _ publish: Csi_V1_NodePublishVolumeRequest, _ file: String, _ driver: Driver
    ) async throws -> String {
        let outcome = try await driver.expect(
            .ok, .failedPrecondition, .invalidArgument, .alreadyExists, of: publish)
        let unpublish = Csi_V1_NodeUnpublishVolumeRequest.with {
            ($0.volumeID, $0.targetPath) = (publish.volumeID, publish.targetPath)
        }
        let way: Set<Outcome> = outcome == .ok ? [.ok] : [.ok, .failedPrecondition, .notFound, .invalidArgument]
        try await driver.expect(way, of: unpublish, "after \(name(outcome))")
        try Payload(seed: 24).check(file, "afterwards")
        return name(outcome)
    }
}
