import CSIProto
import DeviceManager
import GRPCCore
import TestSupport
import Testing

@testable import CSIServer

@Suite("Records in the driver", .timeLimit(.minutes(5)))
struct RecordFileTests {
    @Test(
        "a record that cannot be read makes its own volume unusable, no other, and stays",
        arguments: ["", "{", "null", "[]", "{\"id\": \"x\"}", "\u{0}\u{0}"])
    func unreadable(content: String) async throws {
        let manager = InMemoryDeviceManager()
        await manager.add(volumeA)
        try await withDirectory { directory in
            let state = try makeDirectory("\(directory)/state")
            let path = "\(state)/\(volumeA).json"
            try write(Array(content.utf8), to: path)
            try await withDriver(manager, in: directory) { driver in
                await expect(.failedPrecondition, path) { try await driver.create("a") }
                await expect(.failedPrecondition, path) { try await driver.delete(volumeA.rawValue) }
                await expect(.failedPrecondition, path) { try await driver.publish(volumeA.rawValue) }
                await expect(.failedPrecondition, path) { try await driver.stage(volumeA.rawValue, at: "/x") }
                let other = try await driver.create("b").volumeID
                #expect(try await driver.listedIDs() == [other])
                #expect(await manager.ids.contains(volumeA))
            }
            #expect(try read(content.utf8.count, from: path) == Array(content.utf8))
        }
    }

    @Test("what is left of a record's writing does not block the volume")
    func temporaryFile() async throws {
        try await withDirectory { directory in
            let manager = InMemoryDeviceManager()
            try await withDriver(manager, in: directory) { driver in
                try write(Array("{\"half".utf8), to: "\(directory)/state/\(volumeA).json.tmp")
                try await driver.create("a")
            }
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(try await driver.listedIDs() == [volumeA.rawValue])
            }
        }
    }

    @Test("a record of pmem-csi beside its volume is taken over, and so are creation and deletion")
    func pmemCSI() async throws {
        let foreign = try #require(VolumeID("pvc-8d-" + String(repeating: "0123456789abcdef", count: 4).prefix(56)))
        let manager = InMemoryDeviceManager()
        await manager.add(foreign, size: 8 << 20)
        try await withDirectory { directory in
            let state = try makeDirectory("\(directory)/state")
            let json = """
                {"id":"\(foreign)","size":8388608,"parameters":{"_id":"\(foreign)","deviceMode":"lvm",\
                "eraseafter":"false","name":"pvc-8d","persistencyModel":"normal"}}
                """
            try write(Array(json.utf8), to: "\(state)/\(foreign).json")
            try await withDriver(manager, in: directory) { driver in
                let volume = try await driver.list().entries.map(\.volume)
                #expect(volume.map(\.volumeID) == [foreign.rawValue])
                #expect(volume.first?.capacityBytes == 8 * mib)
                #expect(volume.first?.volumeContext["eraseafter"] == "false")
                #expect(driver.records.all.first?.format == .unknown)
                #expect(driver.records.all.first?.location == "ndbus0region0fsdax")
                try await driver.publish(foreign.rawValue)
                try await driver.unpublish(foreign.rawValue)
                try await driver.delete(foreign.rawValue)
                #expect(await manager.erasures.isEmpty)
                #expect(await manager.ids.isEmpty)
            }
        }
    }
}
