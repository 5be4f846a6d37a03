import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("ListVolumes", .timeLimit(.minutes(5)))
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

@Suite("GetCapacity", .timeLimit(.minutes(5)))
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
        arguments: [.mount("btrfs"), .block(.multiNodeMultiWriter), .mount("ext4", .multiNodeMultiWriter)]
            as [Csi_V1_VolumeCapability])
    func unsupported(capability: Csi_V1_VolumeCapability) async throws {
        try await withDriver { driver, _ in
            let free = try await driver.free { $0.volumeCapabilities = [.mount(), capability] }
            #expect(free == 0)
        }
    }

    private func withManager(_ kind: ManagerKind, _ body: (Driver) async throws -> Void) async throws {
        try await withDirectory { directory in
            try await withDriver(InMemoryDeviceManager(defaults: kind.defaultParameters), in: directory, body)
        }
    }

    @Test(
        "of what only another device manager makes there is no room",
        arguments: [
            (.lvm, ["pageMap": "mem"]), (.lvm, ["numaNode": "0"]), (.lvm, ["region": "region0", "nsmode": "sector"]),
            (.direct, ["provisioning": "thin"]), (.direct, ["allocation": "publish"]),
            (.file, ["nsmode": "fsdax"]), (.file, ["pageMap": "dev", "eraseafter": "false"]),
        ] as [(ManagerKind, [String: String])])
    func foreign(kind: ManagerKind, parameters: [String: String]) async throws {
        try await withManager(kind) { driver in
            let free = try await driver.free { $0.parameters = parameters }
            #expect(free == 0)
            await expect(.invalidArgument) {
                _ = try await driver.create(.volume("a").with { $0.parameters = parameters })
            }
        }
    }

    @Test(
        "what no device manager makes is refused",
        arguments: [
            (.lvm, ["pageMap": "ram"]), (.lvm, ["provisioning": "thin", "nsmode": "fsdax"]),
            (.direct, ["nsmode": "sector", "pageMap": "mem"]), (.direct, ["provisioning": "thin", "colour": "red"]),
            (.file, ["nsmode": "tape"]), (.file, ["eraseafter": "maybe"]),
        ] as [(ManagerKind, [String: String])])
    func malformed(kind: ManagerKind, parameters: [String: String]) async throws {
        try await withManager(kind) { driver in
            await expect(.invalidArgument, "parameters") { _ = try await driver.free { $0.parameters = parameters } }
        }
    }

    @Test("unknown parameters are refused")
    func parameters() async throws {
        try await withDriver { driver, _ in
            await expect(.invalidArgument, "colour") { _ = try await driver.free { $0.parameters = ["colour": "red"] } }
        }
    }
}
