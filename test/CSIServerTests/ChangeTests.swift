import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@Suite("ControllerExpandVolume", .timeLimit(.minutes(5)))
struct ExpandTests {
    @Test("the volume grows, its file system has to follow; again it is the same")
    func grows() async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a", size: 8 * mib).volumeID
            for _ in 0..<2 {
                let answer = try await driver.expand(id, to: 15 * mib)
                #expect(answer.capacityBytes == 16 * mib)
                #expect(answer.nodeExpansionRequired)
            }
            #expect(await manager.size(volumeA) == 16 << 20)
            #expect(await manager.passed[.expand] == 1)
            #expect(try await driver.volume(id).volume.capacityBytes == 16 * mib)
            #expect(driver.records.all.first?.expandedFrom == nil)
        }
    }

    @Test(
        "a size that is reached already is fine",
        arguments: [(1, 0), (8 * mib, 8 * mib), (0, 9 * mib)] as [(Int64, Int64)])
    func reached(required: Int64, limit: Int64) async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a", size: 8 * mib).volumeID
            #expect(try await driver.expand(id, to: required, limit: limit).capacityBytes == 8 * mib)
            #expect(await manager.passed[.expand] == nil)
        }
    }

    @Test(
        "sizes that can never be met are OUT_OF_RANGE, sizes without room RESOURCE_EXHAUSTED, and nothing changes",
        arguments: [
            (0, 7 * mib, .outOfRange), (4 * mib, 4 * mib, .outOfRange), (9 * mib, 10 * mib, .outOfRange),
            (100 * mib, 0, .resourceExhausted),
        ] as [(Int64, Int64, RPCError.Code)])
    func refused(required: Int64, limit: Int64, code: RPCError.Code) async throws {
        try await withDriver(size: 64 << 20) { driver, manager in
            let volume = try await driver.create("a", size: 8 * mib)
            await expect(code) {
                try await driver.expand(volume.volumeID, to: required, limit: limit)
            }
            #expect(try await driver.create("a") == volume)
            #expect(driver.records.all.first?.expandedFrom == nil)
            #expect(await manager.size(volumeA) == 8 << 20)
        }
    }

    @Test("requests that make no sense are INVALID_ARGUMENT, unknown volumes NOT_FOUND")
    func invalid() async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            await expect(.invalidArgument, "volume_id") { try await driver.expand("", to: mib) }
            for (required, limit) in [(0, 0), (-1, 0), (0, -1), (2, 1)] as [(Int64, Int64)] {
                await expect(.invalidArgument, "capacity_range") {
                    try await driver.expand(id, to: required, limit: limit)
                }
            }
            for id in ["x", VolumeID(name: "b", node: "node-1").rawValue] {
                await expect(.notFound, id) { try await driver.expand(id, to: mib) }
            }
        }
    }

    @Test("of raw block no file system has to follow, and what its user may write to is not zeroed")
    func block() async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a").volumeID
            #expect(try await driver.expand(id, to: 12 * mib, .block()).nodeExpansionRequired == false)
            #expect(await manager.wasRaw == false)
            var record = try #require(driver.records.all.first)
            record.format = .block
            try driver.records.save(record)
            #expect(try await driver.expand(id, to: 16 * mib).nodeExpansionRequired == false)
            #expect(await manager.wasRaw == true)
        }
    }

    @Test(
        "one that failed half-way is finished by its repetition",
        arguments: [InMemoryDeviceManager.Point.grown, .expanded])
    func halfWay(point: InMemoryDeviceManager.Point) async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a", size: 8 * mib).volumeID
            await manager.fail(at: point, DeviceError(.unavailable, "lvm took too long"))
            await expect(.unavailable, "too long") { try await driver.expand(id, to: 16 * mib) }
            #expect(driver.records.all.first?.expandedFrom == 8 << 20)
            #expect(try await driver.expand(id, to: 16 * mib).capacityBytes == 16 * mib)
            #expect(await manager.stale.isEmpty)
            #expect(driver.records.all.first?.expandedFrom == nil)
        }
    }

    @Test("a copy of a volume whose expansion failed half-way finishes that first")
    func copied() async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a", size: 8 * mib).volumeID
            await manager.fail(at: .grown, DeviceError(.unavailable, "lvm took too long"))
            await expect(.unavailable) { try await driver.expand(id, to: 16 * mib) }
            #expect(try await driver.snapshot("s", of: id).sizeBytes == 16 * mib)
            #expect(await manager.stale.isEmpty)
        }
    }
}

@Suite("ControllerModifyVolume", .timeLimit(.minutes(5)))
struct ModifyTests {
    @Test("eraseafter changes, here and in the backend, in either spelling", arguments: ["eraseafter", "eraseAfter"])
    func eraseAfter(key: String) async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a").volumeID
            for _ in 0..<2 { try await driver.modify(id, [key: "false", "csi.storage.k8s.io/x": "y"]) }
            #expect(try await driver.volume(id).volume.volumeContext["eraseafter"] == "false")
            #expect(await manager.parameters(volumeA)?.eraseAfter == false)
            try await driver.delete(id)
            #expect(await manager.erasures.isEmpty)
        }
    }

    @Test(
        "on a refusal nothing has changed",
        arguments: [
            (["nsmode": "sector"], "nsmode"), (["eraseafter": "false", "provisioning": "thin"], "provisioning"),
            (["eraseafter": "false", "colour": "red"], "colour"), (["eraseafter": "maybe"], "maybe"),
            (["eraseafter": "false", "eraseAfter": "true"], "eraseAfter"), ([:], "mutable_parameters"),
        ])
    func refused(changes: [String: String], word: String) async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a")
            await expect(.invalidArgument, word) { try await driver.modify(volume.volumeID, changes) }
            #expect(try await driver.create("a") == volume)
            #expect(await manager.passed[.update] == nil)
        }
    }

    @Test("what the backend did not hear of it hears at the repetition")
    func repeated() async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a").volumeID
            await manager.fail(at: .update, DeviceError(.unavailable, "lvm is locked"))
            await expect(.unavailable, "locked") { try await driver.modify(id, ["eraseafter": "false"]) }
            try await driver.modify(id, ["eraseafter": "false"])
            #expect(await manager.parameters(volumeA)?.eraseAfter == false)
            await expect(.notFound, "x") { try await driver.modify("x", ["eraseafter": "false"]) }
            await expect(.invalidArgument, "volume_id") { try await driver.modify("", ["eraseafter": "false"]) }
        }
    }
}

@Suite("ControllerGetVolume", .timeLimit(.minutes(5)))
struct GetVolumeTests {
    @Test("it says what the volume is and where it is published")
    func get() async throws {
        try await withDriver { driver, _ in
            let volume = try await driver.create("a")
            #expect(try await driver.volume(volume.volumeID).volume == volume)
            #expect(try await driver.volume(volume.volumeID).status.publishedNodeIds == [])
            try await driver.publish(volume.volumeID)
            #expect(try await driver.volume(volume.volumeID).status.publishedNodeIds == ["node-1"])
            await expect(.notFound, "x") { _ = try await driver.volume("x") }
            await expect(.invalidArgument, "volume_id") { _ = try await driver.volume("") }
        }
    }
}
