import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@Suite("CreateVolume from a source", .timeLimit(.minutes(5)))
struct RestoreTests {
    private static let volumeB = VolumeID(name: "b", node: "node-1")

    /// A request for "b" with the content of a new volume "a", and the bytes of that.
    private func request(
        _ driver: Driver, _ manager: InMemoryDeviceManager, snapshot: Bool, size: Int64 = 0, limit: Int64 = 0
    ) async throws -> Csi_V1_CreateVolumeRequest {
        let volume = try await driver.create("a", size: 8 * mib).volumeID
        await manager.write("text", to: volumeA)
        let request = Csi_V1_CreateVolumeRequest.volume("b", size: size, limit: limit)
        guard snapshot else { return request.from(volume: volume) }
        return request.from(snapshot: try await driver.snapshot("s", of: volume).snapshotID)
    }

    @Test("it has the content and the size of its source, and says where that is from", arguments: [true, false])
    func content(snapshot: Bool) async throws {
        try await withDriver { driver, manager in
            let request = try await request(driver, manager, snapshot: snapshot)
            await manager.write("later", to: volumeA)
            let volume = try await driver.create(request)
            #expect(volume.contentSource == request.volumeContentSource)
            #expect(volume.capacityBytes == 8 * mib)
            #expect(await manager.content(Self.volumeB) == (snapshot ? "text" : "later"))
            #expect(try await driver.create(request) == volume)
            #expect(try await driver.volume(volume.volumeID).volume == volume)
        }
    }

    @Test(
        "it is as large as its source at least, and larger when asked",
        arguments: [(0, 0, 8), (mib, 0, 8), (8 * mib, 8 * mib, 8), (12 * mib, 0, 12), (9 * mib, 12 * mib, 12)]
            as [(Int64, Int64, Int64)])
    func sizes(required: Int64, limit: Int64, expected: Int64) async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create(
                request(driver, manager, snapshot: true, size: required, limit: limit))
            #expect(volume.capacityBytes == expected * mib)
            #expect(await manager.size(Self.volumeB) == UInt64(expected * mib))
        }
    }

    @Test("a limit below its source is OUT_OF_RANGE", arguments: [(0, mib), (4 * mib, 7 * mib)] as [(Int64, Int64)])
    func tooSmall(required: Int64, limit: Int64) async throws {
        try await withDriver { driver, manager in
            let request = try await request(driver, manager, snapshot: true, size: required, limit: limit)
            await expect(.outOfRange, "capacity_range") { try await driver.create(request) }
            #expect(await manager.ids.count == 2)
        }
    }

    @Test("without a source there is nothing to make it from")
    func missing() async throws {
        try await withDriver { driver, manager in
            for id in ["x", VolumeID(name: "never", node: "node-1").rawValue, Self.volumeB.rawValue] {
                await expect(.notFound, id) { try await driver.create(.volume("b").from(snapshot: id)) }
                await expect(.notFound, id) { try await driver.create(.volume("b").from(volume: id)) }
            }
            await expect(.invalidArgument, "snapshot_id") { try await driver.create(.volume("b").from(snapshot: "")) }
            await expect(.invalidArgument, "volume_id") { try await driver.create(.volume("b").from(volume: "")) }
            await expect(.invalidArgument, "volume_content_source") {
                try await driver.create(.volume("b").with { $0.volumeContentSource = .init() })
            }
            #expect(await manager.ids.isEmpty)
            #expect(driver.records.all.isEmpty)
        }
    }

    @Test("another source for the same name is ALREADY_EXISTS")
    func different() async throws {
        try await withDriver { driver, manager in
            let request = try await request(driver, manager, snapshot: true)
            let volume = try await driver.create(request)
            let others: [Csi_V1_CreateVolumeRequest] = [
                .volume("b"), .volume("b").from(volume: volumeA.rawValue), .volume("b").from(volume: volume.volumeID),
            ]
            for other in others {
                await expect(.alreadyExists, "volume_content_source") { try await driver.create(other) }
            }
            await expect(.alreadyExists, "volume_content_source") {
                try await driver.create(.volume("a").from(volume: volume.volumeID))
            }
            #expect(try await driver.create(request) == volume)
        }
    }

    @Test(
        "parameters that a copy cannot change are those of its source",
        arguments: [["nsmode": "sector"], ["nsmode": "sector", "provisioning": "thin"]])
    func parameters(parameters: [String: String]) async throws {
        try await withDriver { driver, manager in
            let request = try await request(driver, manager, snapshot: true)
            let words = ["nsmode sector", "nsmode fsdax", "provisioning thick"]
            await expect(.invalidArgument, words[0], words[1], words[2]) {
                try await driver.create(request.with { $0.parameters = parameters })
            }
            let volume = try await driver.create(request.with { $0.parameters = ["eraseafter": "false"] })
            #expect(volume.volumeContext["eraseafter"] == "false")
        }
    }

    @Test(
        "what is known of the file system is what was known of the source's",
        arguments: [.never, .formatting("ext4"), .formatted("xfs"), .block] as [VolumeRecord.Format])
    func format(format: VolumeRecord.Format) async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a").volumeID
            var record = try #require(driver.records.all.first)
            record.format = format
            try driver.records.save(record)
            let snapshot = try await driver.snapshot("s", of: volume).snapshotID
            try await driver.create(.volume("b", size: 0).from(snapshot: snapshot))
            #expect(driver.records.all.map(\.format) == [format, format, format])
        }
    }
}
