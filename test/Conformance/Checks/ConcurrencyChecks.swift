import CSIProto
import GRPCCore
import SwiftProtobuf

/// Calls at the same time: each is OK or ABORTED, and what is there afterwards is right.
enum ConcurrencyChecks {
    private static let many = 12

    static let topic = Topic(
        "At the same time",
        [
            Check("one name, many creations: one volume") { driver in
                let request = driver.creation()
                let answers = try await together(driver, (0..<many).map { _ in request })
                let volume = try await driver.create(request)
                if driver.offers(.list) {
                    let ids = try await driver.volumes().map(\.volume.volumeID)
                    try requireEqual(ids.filter { $0 == volume.id }.count, 1, "volumes of that id")
                    try requireEqual(driver.ledger.holdings.volumes, [volume.id], "ids that were answered")
                }
                return counts(answers)
            },
            Check("one volume, many of each call of its life") { driver in
                let volume = try await driver.volume()
                try volume.makeDirectories()
                var notes: [String] = []
                for call in life(volume) {
                    let answers = try await together(driver, (0..<many).map { _ in call })
                    try await driver.expect([.ok], of: call, "once more")
                    notes.append(counts(answers))
                    let mounts = try Disk.mounts(below: volume.directory).count
                    try require(mounts <= 2, "\(mounts) mounts after many \(type(of: call).title)")
                }
                return notes.joined(separator: "; ")
            },
            Check("opposite calls: a state that one of them leaves", core: false) { driver in
                let volume = try await driver.volume()
                try await volume.up()
                try Payload(seed: 91).write(to: volume.payload)
                for _ in 0..<10 {
                    try await together(
                        driver, [volume.publish, volume.unpublish, volume.publish, volume.unpublish], or: [])
                    try require(
                        try Disk.mounts(below: "\(volume.directory)/pod").count <= 1, "two mounts at the target")
                }
                try await driver.send(volume.publish)
                try Payload(seed: 91).check(volume.payload, "afterwards")
                return "10 rounds of 4"
            },
            Check("growing, many at once", needs: [.expansion]) { driver in
                let volume = try await driver.volume()
                let calls = (1...6).map { volume.expansion(to: volume.size + Int64($0) * 4 * MiB) }
                let answers = try await together(driver, calls)
                let size = try await driver.send(calls[5]).capacityBytes
                try require(size >= calls[5].capacityRange.requiredBytes, "\(size) bytes")
                return counts(answers)
            },
            Check("one name, many snapshots: one snapshot", needs: [.snapshots]) { driver in
                let volume = try await driver.volume()
                let request = volume.snapshot(driver.name("snapshot"))
                let answers = try await together(driver, (0..<many).map { _ in request })
                let snapshot = try await driver.send(request).snapshot
                try requireEqual(driver.ledger.holdings.snapshots, [snapshot.snapshotID], "ids that were answered")
                return counts(answers)
            },
            Check("while a volume is copied it is not deleted", needs: [.clones]) { driver in
                try await copying(driver)
            },
            Check("ten volumes made at once, and taken down at once") { driver in
                let start = ContinuousClock.now
                let one = try await driver.volume()
                let alone = ContinuousClock.now - start
                let requests = (0..<10).map { _ in driver.creation("ten") }
                let answers = try await together(driver, requests, or: [])
                try requireEqual(answers.filter { $0 == .ok }.count, 10, "volumes made")
                let all = ContinuousClock.now - start - alone
                let ids = driver.ledger.holdings.volumes
                try requireEqual(Set(ids).count, 11, "different ids")
                try require(ids.contains(one.id), "the first is gone")
                let calls = ids.map { id in Csi_V1_DeleteVolumeRequest.with { $0.volumeID = id } }
                try requireEqual(try await together(driver, calls, or: []).filter { $0 == .ok }.count, 11, "deleted")
                return "one \(milliseconds(alone)) ms, ten together \(milliseconds(all)) ms"
            },
            Check("reading calls never get in the way", needs: [.list, .capacity]) { driver in
                async let reading: Void = read(driver)
                for _ in 0..<3 { _ = try await driver.volume() }
                try await reading
                return "lists and capacities beside creations"
            },
        ])

    private static func life(_ volume: Volume) -> [any Call] {
        let driver = volume.driver
        let calls: [any Call] = [
            volume.attachment, volume.stage, volume.publish, volume.unpublish, volume.unstage, volume.detachment,
            volume.deletion,
        ]
        return calls.filter { RefusalChecks.isOffered($0, driver) }
    }

    private static func read(_ driver: Driver) async throws {
        for _ in 0..<50 {
            try await driver.expect(.ok, of: Csi_V1_ListVolumesRequest())
            try await driver.expect(
                .ok, of: Csi_V1_GetCapacityRequest.with { $0.parameters = driver.settings.parameters })
        }
    }

    /// Starts a copy and deletes its source while it goes on.
    private static func copying(_ driver: Driver) async throws -> String {
        let size = driver.settings.size * 16
        let source = try await driver.volume("source", driver.capability, size: size)
        try await source.up()
        try Payload(seed: 92, mebibytes: Int(driver.settings.size / MiB) * 8).write(to: source.payload)
        try await source.down()
        let request = driver.creation("copy", driver.capability, size: size).changing {
            $0.volumeContentSource = Source.volume(source.id).message
        }
        async let copied = driver.outcome(request)
        try await Task.sleep(for: .milliseconds(5))
        let deleted = try await driver.expect(.ok, .aborted, of: source.deletion, "beside the copying")
        let outcome = try await copied
        // Deleted before the copy began, or after it ended, or refused: all are right, a broken copy is not.
        try require(outcome == .ok || (deleted == .ok && outcome == .notFound) || outcome == .aborted, name(outcome))
        guard outcome == .ok else { return "deleted first: the copy is \(name(outcome))" }
        let copy = try await driver.create(request)
        try await copy.up()
        try Payload(seed: 92, mebibytes: Int(driver.settings.size / MiB) * 8).check(copy.payload, "the copy")
        try await copy.down()
        return "DeleteVolume of the source: \(name(deleted))"
    }

    /// All at once; each must be OK, ABORTED, or one of the others.
    @discardableResult
    static func together(
        _ driver: Driver, _ calls: [any Call], or others: Set<Outcome> = []
    ) async throws -> [Outcome] {
        try await withThrowingTaskGroup(of: Outcome.self) { group in
            for call in calls {
                group.addTask { try await driver.expect(others.union([.ok, .aborted]), of: call, "beside others") }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static func counts(_ answers: [Outcome]) -> String {
        let ok = answers.filter { $0 == .ok }.count
        return "\(ok) OK, \(answers.count - ok) ABORTED"
    }
}
