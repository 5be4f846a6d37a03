import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("DeleteVolume", .timeLimit(.minutes(1)))
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

    @Test("eraseafter decides whether a volume is overwritten", arguments: [true, false])
    func erasure(isOn: Bool) async throws {
        try await withDriver { driver, manager in
            let request = Csi_V1_CreateVolumeRequest.volume("a").with { $0.parameters = ["eraseafter": "\(isOn)"] }
            try await driver.delete(try await driver.create(request).volumeID)
            #expect(await manager.erasures == (isOn ? [0] : []))
        }
    }
}

@Suite("ControllerPublishVolume", .timeLimit(.minutes(1)))
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
        arguments: [.block(), .mount("xfs"), .mount("ext4", .multiNodeMultiWriter)] as [Csi_V1_VolumeCapability])
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

@Suite("ListVolumes", .timeLimit(.minutes(1)))
struct ListVolumesTests {
    @Test("pages hold what was asked for and join up to all", arguments: [1, 2, 3, 7, 8, 100] as [Int32])
    func pages(limit: Int32) async throws {
        try await withDriver { driver, _ in
            var created: Set<String> = []
            for number in 0..<7 { created.insert(try await driver.create("v\(number)", size: mib).volumeID) }
            var (seen, token): ([String], String) = ([], "")
            repeat {
                let page = try await driver.list(limit, after: token)
                #expect(page.entries.count <= limit)
                seen += page.entries.map(\.volume.volumeID)
                token = page.nextToken
            } while !token.isEmpty
            #expect(Set(seen) == created)
            #expect(seen == seen.sorted())
        }
    }

    @Test("volumes that come and go between pages neither hide nor repeat others")
    func changes() async throws {
        try await withDriver { driver, _ in
            for number in 0..<6 { try await driver.create("\(number)", size: mib) }
            let before = try await driver.listedIDs()
            let first = try await driver.list(3)
            // Also the one that the token stands for.
            for id in before[1...2] { try await driver.delete(id) }
            try await driver.create("-new", size: mib)
            let rest = try await driver.list(0, after: first.nextToken).entries.map(\.volume.volumeID)
            #expect(rest.filter(before.contains) == Array(before[3...]))
        }
    }

    @Test("a list of nothing has no token, zero entries means all")
    func empty() async throws {
        try await withDriver { driver, _ in
            #expect(try await driver.list(5) == .init())
            let volume = try await driver.create("a")
            let page = try await driver.list(1)
            #expect(page.entries.map(\.volume) == [volume])
            #expect(page.nextToken.isEmpty)
        }
    }

    @Test("a token that is not ours is ABORTED", arguments: ["x", "1", "invalid-token", "-", " "])
    func badToken(token: String) async throws {
        try await withDriver { driver, _ in
            await expect(.aborted, "starting_token") { _ = try await driver.list(1, after: token) }
        }
    }

    @Test("a negative number of entries is refused", arguments: [-1, .min] as [Int32])
    func negative(limit: Int32) async throws {
        try await withDriver { driver, _ in
            await expect(.invalidArgument, "max_entries") { _ = try await driver.list(limit) }
        }
    }

    @Test("a volume is listed until it is gone, and not before it was answered")
    func underWay() async throws {
        try await withDriver { driver, manager in
            let created = await manager.pause(at: .created)
            async let volume = driver.create("a")
            await created.waitUntilReached()
            #expect(try await driver.listedIDs() == [])
            created.release()
            let id = try await volume.volumeID
            let deleted = await manager.pause(at: .erasing)
            async let end: Void = driver.delete(id)
            await deleted.waitUntilReached()
            #expect(try await driver.listedIDs() == [id])
            deleted.release()
            try await end
            #expect(try await driver.listedIDs() == [])
        }
    }
}

@Suite("GetCapacity", .timeLimit(.minutes(1)))
struct GetCapacityTests {
    @Test("room, largest and smallest volume are told")
    func here() async throws {
        try await withDriver(size: 64 << 20) { driver, _ in
            let response = try await driver.controller.getCapacity(
                .with {
                    $0.accessibleTopology.segments = ["\(Driver.name)/node": "node-1"]
                    $0.volumeCapabilities = [.mount()]
                    $0.parameters = ["nsmode": "fsdax", "csi.storage.k8s.io/fstype": "ext4"]
                })
            #expect(response.availableCapacity == 64 * mib)
            #expect(response.maximumVolumeSize.value == 64 * mib)
            #expect(response.minimumVolumeSize.value == 4 * mib)
        }
    }

    @Test("elsewhere there is no room")
    func elsewhere() async throws {
        try await withDriver { driver, _ in
            for segments in [["\(Driver.name)/node": "node-2"], ["other/node": "node-1"]] {
                let free = try await driver.free { $0.accessibleTopology.segments = segments }
                #expect(free == 0)
            }
        }
    }

    @Test(
        "of volumes that cannot be made there is no room",
        arguments: [.block(), .mount("xfs"), .mount("ext4", .multiNodeMultiWriter)] as [Csi_V1_VolumeCapability])
    func unsupported(capability: Csi_V1_VolumeCapability) async throws {
        try await withDriver { driver, _ in
            let free = try await driver.free { $0.volumeCapabilities = [.mount(), capability] }
            #expect(free == 0)
        }
    }

    @Test("unknown parameters are refused")
    func parameters() async throws {
        try await withDriver { driver, _ in
            await expect(.invalidArgument, "colour") { _ = try await driver.free { $0.parameters = ["colour": "red"] } }
        }
    }
}

@Suite("ValidateVolumeCapabilities", .timeLimit(.minutes(1)))
struct ValidateTests {
    private func validate(
        _ driver: Driver, _ change: (inout Csi_V1_ValidateVolumeCapabilitiesRequest) -> Void
    ) async throws -> Csi_V1_ValidateVolumeCapabilitiesResponse {
        var request = Csi_V1_ValidateVolumeCapabilitiesRequest()
        request.volumeID = VolumeID(name: "a", node: "node-1").rawValue
        request.volumeCapabilities = [.mount()]
        change(&request)
        return try await driver.controller.validateVolumeCapabilities(request)
    }

    @Test("what holds is confirmed and echoed")
    func confirmed() async throws {
        try await withDriver { driver, _ in
            let volume = try await driver.create("a")
            let capabilities: [Csi_V1_VolumeCapability] = [.mount(), .mount("ext4", flags: ["noatime"], .singleNodeReaderOnly)]
            let response = try await validate(driver) {
                $0.volumeCapabilities = capabilities
                $0.volumeContext = volume.volumeContext.merging(["storage.kubernetes.io/x": "y"]) { $1 }
                $0.parameters = ["nsmode": "fsdax"]
            }
            #expect(response.confirmed.volumeCapabilities == capabilities)
            #expect(response.confirmed.volumeContext["storage.kubernetes.io/x"] == "y")
            #expect(response.confirmed.parameters == ["nsmode": "fsdax"])
            #expect(response.message.isEmpty)
        }
    }

    @Test("what does not hold is not confirmed, and the message says why")
    func notConfirmed() async throws {
        try await withDriver { driver, _ in
            try await driver.create("a")
            let changes: [(inout Csi_V1_ValidateVolumeCapabilitiesRequest) -> Void] = [
                { $0.volumeCapabilities = [.mount(), .block()] }, { $0.volumeCapabilities = [.mount("xfs")] },
                { $0.volumeCapabilities = [.mount("ext4", .multiNodeMultiWriter), .mount()] },
                { $0.volumeContext = ["nsmode": "sector"] }, { $0.parameters = ["nsmode": "sector"] },
                { $0.parameters = ["colour": "red"] }, { $0.mutableParameters = ["colour": "red"] },
                { $0.mutableParameters = ["eraseafter": "false"] },
            ]
            for (number, change) in changes.enumerated() {
                let response = try await validate(driver, change)
                #expect(!response.hasConfirmed, "change \(number)")
                #expect(!response.message.isEmpty, "change \(number)")
            }
        }
    }

    @Test("a volume that does not exist is NOT_FOUND", arguments: ["x", VolumeID(name: "b", node: "node-1").rawValue])
    func unknown(id: String) async throws {
        try await withDriver { driver, _ in
            await expect(.notFound, id) { _ = try await validate(driver) { $0.volumeID = id } }
        }
    }
}
