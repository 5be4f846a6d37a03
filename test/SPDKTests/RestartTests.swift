import CSIProto
import DeviceManager
import GRPCCore
import SPDK
import StandIn
import SwiftProtobuf
import Testing

@testable import CSIServer

/// A target that has forgotten its exports and limits, and what this controller knows of them.
struct RestartTests {
    private func nqn(_ node: String) -> String {
        HostIdentity(driverName: "csi.spdk.io", clusterName: "", nodeID: node).nqn
    }

    @Test func `A target that dies while exports are made again ends the look`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let target = world.targets[0], node = try #require(world.pool.nodes.first)
            for number in 1...3 { _ = try await world.create("pvc-\(number)") }
            var seen = Seen()
            try await world.pool.restore(node, &seen)
            try target.restart()
            target.fail("nvmf_create_subsystem", .lostRequest)
            do {
                try await world.pool.restore(node, &seen)
                Issue.record("it goes on without the target")
            } catch let error as SPDKError {
                #expect(error.isOutage)
            }
            #expect(target.calls("nvmf_create_subsystem") == 4)
            try await world.pool.restore(node, &seen)
            #expect(target.lvols.allSatisfy { target.hosts(of: $0.uuid) == [] })
        }
    }

    @Test func `Hosts of an export that is gone are neither forgotten nor joined by a second writer`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let target = world.targets[0], access = ["access": "host"]
            let volume = try await world.create("pvc-1", access), id = uuid(volume.volumeID)
            let begin = ContinuousClock.now
            _ = try await world.publish(volume.volumeID, to: "a")
            // As a look that began before would.
            world.pool.remember(id, Export(allowsAnyHost: false), seen: begin)
            try target.restart()
            await expect(.failedPrecondition, "node a") { _ = try await world.publish(volume.volumeID, to: "b") }
            _ = try await world.create("pvc-1", access)
            #expect(target.hosts(of: id) == [nqn("a")])
            try target.restart()
            _ = try await world.publish(volume.volumeID, to: "b", mode: .multiNodeMultiWriter)
            #expect(target.hosts(of: id)?.sorted() == [nqn("a"), nqn("b")].sorted())
        }
    }

    @Test func `Limits come back though another controller exported, and not once they were removed`() async throws {
        try await withWorld([StandIn(stores: [store()])]) { world in
            let target = world.targets[0], node = try #require(world.pool.nodes.first)
            let id = uuid(try await world.create("pvc-1", ["rw_mbytes_per_sec": "9"]).volumeID)
            var seen = Seen()
            try await world.pool.restore(node, &seen)
            try target.restart()
            let other = try world.pool.target(node)
            try await other.export(id, Export(allowsAnyHost: true))
            seen.mayBeNew = true
            try await world.pool.restore(node, &seen)
            #expect(target.lvols[0].limits["rw_mbytes_per_sec"] == 9)
            try await other.limit(id, to: RateLimits(["rw_mbytes_per_sec": 0]))
            seen.looks = 0
            try await world.pool.restore(node, &seen)
            #expect(target.lvols[0].limits["rw_mbytes_per_sec"] == 0)
            #expect(world.pool.knownLimits(id)?.isNone == true)
        }
    }

    @Test func `Publishing sets what is known of limits, or else those of the volume context`() async throws {
        let target = StandIn(stores: [store()])
        try await withWorld([target]) { world in
            let volume = try await world.create("pvc-1", ["rw_mbytes_per_sec": "9"])
            _ = try await world.controller.controllerModifyVolume(
                .with {
                    $0.volumeID = volume.volumeID
                    $0.mutableParameters = ["rw_mbytes_per_sec": "7"]
                })
            try target.restart()
            _ = try await world.publish(volume.volumeID, to: "a")
            #expect(target.lvols[0].limits["rw_mbytes_per_sec"] == 7)
            try target.restart()
            world.pool.forget(uuid(volume.volumeID))
            _ = try await world.controller.controllerPublishVolume(
                .with {
                    $0.volumeID = volume.volumeID
                    $0.nodeID = "a"
                    $0.volumeCapability = World.capability()
                    $0.volumeContext = volume.volumeContext
                })
            #expect(target.lvols[0].limits["rw_mbytes_per_sec"] == 9)
        }
    }
}
