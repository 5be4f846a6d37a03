import CSIProto
import GRPCCore
import SwiftProtobuf

/// NodeGetVolumeStats.
enum StatsChecks {
    static let topic = Topic(
        "Statistics",
        [
            Check("bytes: plausible, and used grows by what is written", needs: [.stats]) { driver in
                let volume = try await driver.volume(size: 64 * MiB)
                try await volume.up()
                let before = try await usage(volume, .bytes)
                try Payload(seed: 21, mebibytes: 16).write(to: volume.payload)
                let after = try await usage(volume, .bytes)
                try require(before.total <= volume.size && before.total > volume.size / 2, "total \(before.total)")
                try require(before.used >= 0 && before.used + before.available <= before.total, "\(before)")
                try requireEqual(after.total, before.total, "total after writing")
                let growth = after.used - before.used
                try require(growth >= 15 * MiB && growth <= 20 * MiB, "used grew by \(growth) with 16 MiB")
                try require(after.available < before.available, "available did not go down")
                return "\(before.used) to \(after.used) of \(before.total)"
            },
            Check("inodes: plausible, and used grows by a file", needs: [.stats]) { driver in
                let volume = try await driver.volume(size: 64 * MiB)
                try await volume.up()
                let before = try await usage(volume, .inodes)
                try Payload(seed: 22).write(to: volume.payload)
                let after = try await usage(volume, .inodes)
                try require(before.total > 0 && before.used + before.available <= before.total, "\(before)")
                try require(after.used > before.used, "used: \(before.used), with a file more \(after.used)")
                return "\(after.used) of \(after.total)"
            },
            Check("by the staging path too", needs: [.stats, .stage]) { driver in
                let volume = try await driver.volume()
                try await volume.up()
                let staged = volume.stats.changing { $0.stagingTargetPath = volume.staging }
                try await driver.expect(.ok, of: staged, "with both paths")
                try await driver.expect(
                    .ok, .notFound, of: volume.stats.changing { $0.volumePath = volume.staging }, "there alone")
                return "with both paths"
            },
            Check("NOT_FOUND where the volume is not", needs: [.stats]) { driver in
                let (volume, other) = (try await driver.volume(), try await driver.volume())
                try await other.up()
                try volume.makeDirectories()
                var paths = [volume.directory, other.target, "/", "/proc", "\(volume.directory)/nowhere"]
                try await driver.expect(.notFound, of: volume.stats, "not published")
                try await volume.up()
                paths.append("\(volume.target)/inside")
                try Disk.makeDirectory("\(volume.target)/inside")
                for path in paths {
                    try await driver.expect(.notFound, of: volume.stats.changing { $0.volumePath = path }, "at \(path)")
                }
                return "\(paths.count) paths, one of them another volume's"
            },
        ])

    private static func usage(_ volume: Volume, _ unit: Csi_V1_VolumeUsage.Unit) async throws -> Csi_V1_VolumeUsage {
        let usage = try await volume.driver.send(volume.stats).usage.filter { $0.unit == unit }
        try requireEqual(usage.count, 1, "entries of \(unit)")
        return usage[0]
    }
}
