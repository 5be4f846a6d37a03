import CSIProto
import GRPCCore
import SwiftProtobuf

/// ControllerExpandVolume and NodeExpandVolume.
enum ExpansionChecks {
    static let topic = Topic(
        "Growing",
        [
            Check("online: under a writer, each file system", needs: [.expansion, .onlineExpansion]) { driver in
                var notes: [String] = []
                for type in try driver.filesystems(growing: true) {
                    let volume = try await driver.volume("grown", .mount(type))
                    try await volume.up()
                    try Payload(seed: 31).write(to: volume.payload)
                    let before = try Disk.fileSystem(volume.target).size
                    async let writing: Void = write("\(volume.target)/beside")
                    let size = try await grow(volume, to: volume.size * 3)
                    try await writing
                    let after = try Disk.fileSystem(volume.target).size
                    try require(after - before > (size - volume.size) * 8 / 10, "\(type): \(before) to \(after) bytes")
                    try Payload(seed: 31).check(volume.payload, "\(type) after growing")
                    try await volume.down()
                    try await volume.up()
                    try requireEqual(try Disk.fileSystem(volume.target).size, after, "\(type) mounted again")
                    try await volume.down()
                    notes.append("\(type) \(mebibytes(volume.size)) to \(mebibytes(size))")
                }
                return notes.joined(separator: ", ")
            },
            Check("offline: the file system follows at the next mount", needs: [.expansion]) { driver in
                var notes: [String] = []
                for type in try driver.filesystems(growing: true) {
                    let volume = try await driver.volume("grown", .mount(type))
                    try await volume.up()
                    let before = try Disk.fileSystem(volume.target).size
                    try Payload(seed: 32).write(to: volume.payload)
                    try await volume.down()
                    let answer = try await driver.send(volume.expansion(to: volume.size * 2))
                    try await volume.up()
                    if answer.nodeExpansionRequired { try await driver.send(volume.nodeExpansion(to: volume.size * 2)) }
                    let after = try Disk.fileSystem(volume.target).size
                    try require(after > before + volume.size * 8 / 10, "\(type): \(before) to \(after) bytes")
                    try Payload(seed: 32).check(volume.payload, type)
                    notes.append(type)
                }
                return notes.joined(separator: ", ")
            },
            Check("to a size that it has already is OK", needs: [.expansion]) { driver in
                let volume = try await driver.volume()
                for size in [1, volume.size] {
                    let answer = try await driver.send(volume.expansion(to: size))
                    try requireEqual(answer.capacityBytes, volume.size, "capacity_bytes for \(size)")
                }
                let larger = try await driver.send(volume.expansion(to: volume.size * 2))
                let again = try await driver.send(volume.expansion(to: volume.size * 2))
                try requireEqual(again.capacityBytes, larger.capacityBytes, "capacity_bytes the second time")
                return mebibytes(larger.capacityBytes)
            },
            Check("everybody sees the new size", needs: [.expansion]) { driver in
                let volume = try await driver.volume()
                let before = driver.offers(.capacity) ? try await driver.free() : 0
                let size = try await driver.send(volume.expansion(to: volume.size * 2)).capacityBytes
                if driver.offers(.list) {
                    try requireEqual(try await driver.entry(volume.id)?.volume.capacityBytes, size, "ListVolumes")
                }
                if driver.offers(.capacity) {
                    try requireEqual(try await driver.free(), before - (size - volume.size), "GetCapacity")
                }
                try await driver.expect(
                    .alreadyExists,
                    of: volume.request.changing {
                        $0.capacityRange.limitBytes = volume.size
                    }, "of the old size")
                return mebibytes(size)
            },
            Check("limits: impossible ranges, and an EiB", needs: [.expansion]) { driver in
                let volume = try await driver.volume()
                let over = volume.expansion(to: volume.size * 2).changing { $0.capacityRange.limitBytes = volume.size }
                try await driver.expect(.invalidArgument, .outOfRange, of: over, "limit below required")
                let shrunk = volume.expansion(to: 0).changing { $0.capacityRange.limitBytes = volume.size - 1 }
                try await driver.expect(.outOfRange, .invalidArgument, of: shrunk, "limit below its size")
                for size in [Int64(1) << 60, .max] {
                    try await driver.expect(.outOfRange, .resourceExhausted, of: volume.expansion(to: size), "\(size)")
                }
                try await volume.up()
                try Payload(seed: 33).write(to: volume.payload)
                try await volume.down()
                return "refused, and the volume is as before"
            },
            Check("on the node: by staging path, without a capability, where it is not", needs: [.node(.expandVolume)])
            {
                driver in
                let volume = try await driver.volume()
                let growing = volume.nodeExpansion(to: volume.size)
                try volume.makeDirectories()
                try await driver.expect(.notFound, .failedPrecondition, of: growing, "not published")
                try await volume.up()
                try await driver.expect(.ok, of: growing, "of the size that it has")
                try await driver.expect(.ok, of: growing.changing { $0.clearVolumeCapability() }, "no capability")
                try await driver.expect(.ok, of: growing.changing { $0.clearCapacityRange() }, "no range")
                if driver.offers(.stage) {
                    try await driver.expect(
                        .ok, of: growing.changing { $0.volumePath = volume.staging }, "by the staging path")
                }
                try await driver.expect(
                    .notFound, of: growing.changing { ($0.volumePath, $0.stagingTargetPath) = (volume.directory, "") },
                    "at a path where it is not")
                return "OK, NOT_FOUND elsewhere"
            },
        ])

    /// Both calls, as Kubernetes makes them; returns the new size.
    static func grow(_ volume: Volume, to size: Int64) async throws -> Int64 {
        let answer = try await volume.driver.send(volume.expansion(to: size))
        try require(answer.capacityBytes >= size, "capacity_bytes \(answer.capacityBytes), \(size) were required")
        if answer.nodeExpansionRequired { try await volume.driver.send(volume.nodeExpansion(to: size)) }
        return answer.capacityBytes
    }

    private static func write(_ path: String) async throws {
        for seed in 0..<20 as Range<UInt64> {
            try Payload(seed: seed, mebibytes: 1).write(to: path)
            try Payload(seed: seed, mebibytes: 1).check(path, "while growing")
            await Task.yield()
        }
    }
}
