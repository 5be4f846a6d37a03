import CSIProto
import ClusterProto
import DeviceManager
import GRPCCore
import Registry
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("A controller and its nodes", .timeLimit(.minutes(5)))
struct ClusterTests {
    /// Three nodes: the second has eight times the room.
    private func withThree(_ body: (TestController) async throws -> Void) async throws {
        try await withCluster { cluster in
            try await cluster.withController { controller in
                let small = { InMemoryDeviceManager(size: 1 << 28) }
                try await cluster.withNode("n1", small(), controllers: [controller.endpoint]) { _ in
                    try await cluster.withNode(
                        "n2", InMemoryDeviceManager(size: 1 << 31), controllers: [controller.endpoint]
                    ) { _ in
                        try await cluster.withNode("n3", small(), controllers: [controller.endpoint]) { _ in
                            try await controller.wait(for: "n1", "n2", "n3")
                            try await body(controller)
                        }
                    }
                }
            }
        }
    }

    @Test("before any node is registered, a creation is to be tried again")
    func noNodes() async throws {
        try await withCluster { cluster in
            try await cluster.withController { controller in
                await expect(.unavailable, "no node") { _ = try await controller.create(.volume("a")) }
            }
        }
    }

    @Test("the topology chooses the node: preferred, then requisite, else most room")
    func topology() async throws {
        try await withThree { controller in
            let cases: [(requisite: [String], preferred: [String], node: String)] = [
                ([], [], "n2"), (["n1"], [], "n1"), (["n1", "n3"], ["n3"], "n3"), ([], ["n3"], "n3"),
                (["n3"], ["n1"], "n3"),
            ]
            for (index, wanted) in cases.enumerated() {
                let request = Csi_V1_CreateVolumeRequest.volume("v\(index)")
                let volume = try await controller.create(
                    request.on(requisite: wanted.requisite, preferred: wanted.preferred))
                #expect(volume.node == wanted.node)
            }
            let free = try await controller.csi.getCapacity(
                .with { $0.accessibleTopology.segments = ["\(Driver.name)/node": "n1"] })
            #expect(free.availableCapacity == (1 << 28) - 8 * mib)
            #expect(try await controller.csi.getCapacity(.init()).availableCapacity == (1 << 31) + (1 << 29) - 40 * mib)
        }
    }

    @Test("a full node gives way to the next, and only when all are full there is no room")
    func full() async throws {
        try await withThree { controller in
            let request = Csi_V1_CreateVolumeRequest.volume("big", size: 1 << 29).on(
                requisite: ["n1", "n2"], preferred: ["n1"])
            let volume = try await controller.create(request)
            #expect(volume.node == "n2")
            await expect(.resourceExhausted) {
                _ = try await controller.create(.volume("huge", size: 1 << 29).on(requisite: ["n1", "n3"]))
            }
            await expect(.unavailable, "n9") { _ = try await controller.create(.volume("a").on(requisite: ["n9"])) }
        }
    }

    @Test("one name is one volume, wherever it is asked for")
    func oneName() async throws {
        try await withThree { controller in
            let first = try await controller.create(.volume("a").on(requisite: ["n1", "n3"], preferred: ["n1"]))
            let second = try await controller.create(.volume("a").on(requisite: ["n1", "n3"], preferred: ["n3"]))
            #expect(first == second)
            await expect(.alreadyExists) { _ = try await controller.create(.volume("a").on(requisite: ["n3"])) }
            await expect(.alreadyExists) { _ = try await controller.create(.volume("a", size: 64 * mib)) }
            #expect(try await controller.ids() == [first.volumeID])
        }
    }

    @Test("a volume is published to its own node, and nowhere else")
    func publication() async throws {
        try await withThree { controller in
            let id = try await controller.create(.volume("a").on(requisite: ["n1"])).volumeID
            await expect(.notFound, "n9") { try await controller.publish(id, to: "n9") }
            await expect(.failedPrecondition, "n1") { try await controller.publish(id, to: "n2") }
            try await controller.publish(id, to: "n1")
            #expect(try await controller.list().map(\.status.publishedNodeIds) == [["n1"]])
            await expect(.failedPrecondition) { try await controller.delete(id) }
            _ = try await controller.csi.controllerUnpublishVolume(.with { $0.volumeID = id })
            #expect(try await controller.list().map(\.status.publishedNodeIds) == [[]])
            try await controller.delete(id)
            #expect(try await controller.ids().isEmpty)
            try await controller.delete(id)
            await expect(.notFound) { try await controller.publish(id, to: "n1") }
        }
    }

    @Test("pages over all nodes are stable and complete")
    func paging() async throws {
        try await withThree { controller in
            var made: Set<String> = []
            for index in 0..<12 {
                made.insert(
                    try await controller.create(.volume("v\(index)").on(requisite: ["n\(index % 3 + 1)"])).volumeID)
            }
            var (listed, token) = ([String](), "")
            repeat {
                let page = try await controller.csi.listVolumes(
                    .with {
                        $0.maxEntries = 5
                        $0.startingToken = token
                    })
                listed += page.entries.map(\.volume.volumeID)
                token = page.nextToken
            } while !token.isEmpty
            #expect(Set(listed) == made)
            #expect(listed == listed.sorted())
        }
    }

    @Test("growing, changing, snapshots and restores happen on the volume's node")
    func changes() async throws {
        try await withThree { controller in
            let id = try await controller.create(.volume("a").on(requisite: ["n3"])).volumeID
            let grown = try await controller.csi.controllerExpandVolume(
                .with {
                    $0.volumeID = id
                    $0.capacityRange.requiredBytes = 16 * mib
                })
            #expect(grown.capacityBytes == 16 * mib)
            #expect(grown.nodeExpansionRequired)
            #expect(try await controller.list().map(\.volume.capacityBytes) == [16 * mib])
            let snapshot = try await controller.csi.createSnapshot(
                .with {
                    $0.name = "s"
                    $0.sourceVolumeID = id
                }
            ).snapshot
            #expect(snapshot.readyToUse)
            let restored = try await controller.create(
                .volume("b", size: 16 * mib).with { $0.volumeContentSource.snapshot.snapshotID = snapshot.snapshotID })
            #expect(restored.node == "n3")
            #expect(
                try await controller.csi.listSnapshots(.init()).entries.map(\.snapshot.snapshotID) == [
                    snapshot.snapshotID
                ])
            let other = try await controller.create(.volume("c").on(requisite: ["n1"])).volumeID
            await expect(.alreadyExists) {
                _ = try await controller.csi.createSnapshot(
                    .with {
                        $0.name = "s"
                        $0.sourceVolumeID = other
                    })
            }
            _ = try await controller.csi.deleteSnapshot(.with { $0.snapshotID = snapshot.snapshotID })
            #expect(try await controller.csi.listSnapshots(.init()).entries.isEmpty)
        }
    }

    @Test("ids that cannot be ours are gone, those of unknown nodes may not be")
    func unknownIDs() async throws {
        try await withThree { controller in
            try await controller.delete("pvc-1234")
            let elsewhere = VolumeID(name: "a", node: "n9").rawValue
            await expect(.unavailable, elsewhere, "csictl node forget") { try await controller.delete(elsewhere) }
            await expect(.unavailable, elsewhere) {
                _ = try await controller.csi.controllerUnpublishVolume(.with { $0.volumeID = elsewhere })
            }
        }
    }
}
