import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("DeleteVolume", .timeLimit(.minutes(5)))
struct DeleteVolumeTests {
    @Test("the space comes back, and again is fine")
    func delete() async throws {
        try await withDriver { driver, manager in
            let before = try await driver.free()
            let id = try await driver.create("a").volumeID
            #expect(try await driver.free() == before - 8 * mib)
            try await driver.delete(id)
            try await driver.delete(id)
            #expect(try await driver.free() == before)
            #expect(await manager.ids.isEmpty)
            #expect(try await driver.listedIDs().isEmpty)
        }
    }

    @Test(
        "what certainly does not exist is deleted already",
        arguments: [
            "x", "nosuchvolume", "/etc/passwd", "../x", VolumeID(name: "never", node: "node-1").rawValue,
            "pvc-ab-" + String(repeating: "0", count: 56),
        ])
    func unknown(id: String) async throws {
        try await withDriver { driver, _ in try await driver.delete(id) }
    }

    @Test("a volume of another node may exist, so its deletion is not reported")
    func otherNode() async throws {
        try await withDriver { driver, _ in
            let id = VolumeID(name: "a", node: "node-2").rawValue
            await expect(.unavailable, id, "node-1") { try await driver.delete(id) }
        }
    }

    @Test("a published volume is not deleted")
    func published() async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a").volumeID
            try await driver.publish(id)
            await expect(.failedPrecondition, id, "node-1") { try await driver.delete(id) }
            #expect(await manager.passed[.delete] == nil)
            try await driver.unpublish(id)
            try await driver.delete(id)
        }
    }

    @Test("a volume in use is refused and stays what it was")
    func inUse() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("a")
            await manager.fail(at: .delete, DeviceError(.inUse, "volume is mounted"))
            await expect(.failedPrecondition, "mounted") { try await driver.delete(volume.volumeID) }
            #expect(try await driver.create("a") == volume)
            try await driver.publish(volume.volumeID)
        }
    }

    @Test("a volume in use is not even recorded as being deleted: a crash then would carry it out")
    func inUseIsAskedFirst() async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a").volumeID
            await manager.fail(at: .unused, DeviceError(.inUse, "volume is open"))
            let pause = await manager.pause(at: .unused)
            async let call: Void = expect(.failedPrecondition, "open") { try await driver.delete(id) }
            await pause.waitUntilReached()
            #expect(driver.records.all.map(\.phase) == [.ready])
            pause.release()
            await call
            #expect(await manager.passed[.delete] == nil)
        }
    }

    @Test("one that is opened while it is erased does not go back to being ready")
    func openedDuringErasure() async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a", size: 8 * mib).volumeID
            await manager.fail(at: .erased, DeviceError(.inUse, "volume is open"))
            await expect(.failedPrecondition, "open") { try await driver.delete(id) }
            #expect(driver.records.all.map(\.phase) == [.deleting])
            try await driver.delete(id)
            #expect(driver.records.all.isEmpty)
        }
    }

    @Test("eraseafter decides whether a volume is overwritten", arguments: [true, false])
    func erasure(isOn: Bool) async throws {
        try await withDriver { driver, manager in
            let request = Csi_V1_CreateVolumeRequest.volume("a").with { $0.parameters = ["eraseafter": "\(isOn)"] }
            try await driver.delete(try await driver.create(request).volumeID)
            #expect(await manager.erasures == (isOn ? [0] : []))
        }
    }
}

@Suite("ControllerPublishVolume", .timeLimit(.minutes(5)))
struct ControllerPublishTests {
    @Test("unknown volumes and nodes are NOT_FOUND")
    func unknown() async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            for other in ["x", VolumeID(name: "b", node: "node-1").rawValue] {
                await expect(.notFound, other) { try await driver.publish(other) }
            }
            await expect(.notFound, "node-2") { try await driver.publish(id, to: "node-2") }
            #expect(try await driver.list().entries.first?.status.publishedNodeIds == [])
        }
    }

    @Test("twice the same is fine, in another way ALREADY_EXISTS")
    func twice() async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            try await driver.publish(id)
            try await driver.publish(id)
            await expect(.alreadyExists, id) { try await driver.publish(id, readOnly: true) }
            await expect(.alreadyExists, id) { try await driver.publish(id, .mount("ext4", .singleNodeMultiWriter)) }
            #expect(try await driver.list().entries.first?.status.publishedNodeIds == ["node-1"])
        }
    }

    @Test(
        "a capability that cannot be honoured is refused",
        arguments: [.mount("btrfs"), .block(.multiNodeMultiWriter), .mount("ext4", .multiNodeMultiWriter)]
            as [Csi_V1_VolumeCapability])
    func capability(capability: Csi_V1_VolumeCapability) async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            await expect(.invalidArgument, "volume_capability") { try await driver.publish(id, capability) }
        }
    }

    @Test("taking back is fine at any time, and without a node takes back all")
    func unpublish() async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            try await driver.unpublish(id)
            try await driver.unpublish("nosuchvolume")
            try await driver.unpublish(VolumeID(name: "b", node: "node-1").rawValue)
            try await driver.publish(id, readOnly: true)
            try await driver.unpublish(id, from: "node-2")
            #expect(try await driver.list().entries.first?.status.publishedNodeIds == ["node-1"])
            try await driver.unpublish(id, from: "")
            #expect(try await driver.list().entries.first?.status.publishedNodeIds == [])
            try await driver.unpublish(id)
            try await driver.publish(id)
        }
    }
}
