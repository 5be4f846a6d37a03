import CSIProto
import GRPCCore
import SwiftProtobuf

/// Each call of a life twice in a row: the second answers as the first did and changes nothing.
enum TwiceChecks {
    static let topic = Topic(
        "Each call twice",
        [
            Check("of a mounted volume") { driver in try await twice(try await driver.volume()) },
            Check("of a block volume", needs: [.block]) { driver in
                try await twice(try await driver.volume("block", .block()))
            },
            Check("of a copy", needs: [.clones]) { driver in
                let source = try await SnapshotChecks.written(driver, Payload(seed: 95))
                return try await twice(try await driver.copy(of: .volume(source.id)))
            },
        ])

    private static func twice(_ volume: Volume) async throws -> String {
        try volume.makeDirectories()
        var count = 0
        for act in Act.allCases {
            guard let call = act.call(volume), RefusalChecks.isOffered(call, volume.driver) else { continue }
            try await same(call, volume)
            count += 1
        }
        try require(try Disk.mounts(below: volume.directory).isEmpty, "a mount is left")
        return "\(count) calls"
    }

    private static func same<Request: Call>(_ call: Request, _ volume: Volume) async throws {
        let first = try await volume.driver.send(call)
        let mounts = try Disk.mounts(below: volume.directory)
        let second: Request.Answer
        do {
            second = try await volume.driver.send(call)
        } catch {
            throw Failure("\(Request.title) the second time: \(describe(error))")
        }
        // Statistics of something that lives may differ, and so may what else there is.
        let isFixed = !(call is Csi_V1_NodeGetVolumeStatsRequest) && !(call is Csi_V1_GetCapacityRequest)
        try require(!isFixed || first == second, "\(Request.title): \(second) after \(first)")
        try requireEqual(try Disk.mounts(below: volume.directory), mounts, "mounts after the second \(Request.title)")
    }
}
