import CSIProto
import ClusterProto
import DeviceManager
import GRPCCore
import Logging
import Registry
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("A cluster in which something fails", .timeLimit(.minutes(5)))
struct ClusterFailureTests {
    @Test("a reply that is lost makes no second volume, although another node would have room")
    func lostReply() async throws {
        try await withCluster { cluster in
            try await cluster.withController { controller in
                let manager = InMemoryDeviceManager(size: 1 << 31)
                let real = Announcement<Endpoint>()
                let proxy = CuttableProxy { try await real.value }
                try await cluster.withNode("n1", manager, controllers: [controller.endpoint], via: proxy, real: real) {
                    _ in
                    try await cluster.withNode("n2", controllers: [controller.endpoint]) { _ in
                        try await controller.wait(for: "n1", "n2")
                        let pause = await manager.pause(at: .create)
                        async let lost = Result { try await controller.create(.volume("a")) }
                        await pause.waitUntilReached()
                        proxy.cut()
                        let result = await lost
                        #expect(throws: RPCError.self) { try result.get() }
                        await expect(.unavailable) { _ = try await controller.create(.volume("a")) }
                        proxy.mend()
                        // It is still being made there.
                        try await until {
                            let result = await Result { try await controller.create(.volume("a")) }
                            return (result.error as? RPCError)?.code == .aborted
                        }
                        pause.release()
                        let volume = try await eventually { try await controller.create(.volume("a")) }
                        #expect(volume.node == "n1")
                        #expect(await manager.ids.count == 1)
                        #expect(try await controller.ids() == [volume.volumeID])
                    }
                }
            }
        }
    }

    @Test("a name that got volumes on two nodes, one of them unknown at the time, is reported with both")
    func namesakes() async throws {
        let log = LogRecorder()
        try await withCluster(logger: log.logger(.error)) { cluster in
            let manager = InMemoryDeviceManager()
            let first = try await cluster.withController("first") { controller in
                try await cluster.withNode("n1", manager, controllers: [controller.endpoint]) { _ in
                    try await controller.wait(for: "n1")
                    return try await controller.create(.volume("a")).volumeID
                }
            }
            try await cluster.withController("second") { controller in
                try await cluster.withNode("n2", controllers: [controller.endpoint]) { _ in
                    try await controller.wait(for: "n2")
                    let second = try await controller.create(.volume("a")).volumeID
                    try await cluster.withNode("n1", manager, controllers: [controller.endpoint]) { _ in
                        try await controller.wait(for: "n1")
                        #expect(log.lines.contains { $0.contains("\(first) on n1") && $0.contains("\(second) on n2") })
                        #expect(try await controller.ids() == [first, second].sorted())
                        try await controller.delete(second)
                        #expect(try await controller.create(.volume("a")).volumeID == first)
                    }
                }
            }
        }
    }

    @Test("a controller that died with a creation in flight asks the same node again")
    func intentSurvives() async throws {
        try await withCluster { cluster in
            do {
                let state = try ControllerState(directory: "\(cluster.directory)/controller")
                try state.begin("a", on: "small")
            }
            try await cluster.withController { controller in
                try await cluster.withNode(
                    "big", InMemoryDeviceManager(size: 1 << 34), controllers: [controller.endpoint]
                ) { _ in
                    try await controller.wait(for: "big")
                    await expect(.unavailable, "small", "did not answer") {
                        _ = try await controller.create(.volume("a"))
                    }
                    try await cluster.withNode("small", controllers: [controller.endpoint]) { _ in
                        try await controller.wait(for: "small")
                        #expect(try await controller.create(.volume("a")).node == "small")
                    }
                }
            }
        }
    }

    @Test("a node that cannot be reached is passed over, one that refuses too, one that may have done it is not")
    func unreachable() async throws {
        try await withCluster { cluster in
            try await cluster.withController { controller in
                let real = Announcement<Endpoint>()
                let cable = CuttableProxy { try await real.value }
                try await cluster.withNode(
                    "n1", InMemoryDeviceManager(size: 1 << 34), controllers: [controller.endpoint], via: cable,
                    real: real
                ) { _ in
                    try await cluster.withNode("n2", controllers: [controller.endpoint]) { _ in
                        try await controller.wait(for: "n1", "n2")
                        cable.cut()
                        #expect(try await controller.create(.volume("a")).node == "n2")
                        await expect(.unavailable, "n1") {
                            _ = try await controller.create(.volume("b").on(requisite: ["n1"]))
                        }
                        cable.mend()
                        #expect(try await controller.create(.volume("b").on(requisite: ["n1"])).node == "n1")
                    }
                }
            }
        }
    }

    @Test("a node is away: its volumes stay known, a deletion waits for it")
    func away() async throws {
        try await withCluster { cluster in
            try await cluster.withController { controller in
                let manager = InMemoryDeviceManager()
                let id = try await cluster.withNode("n1", manager, controllers: [controller.endpoint]) { _ in
                    try await controller.wait(for: "n1")
                    return try await controller.create(.volume("a")).volumeID
                }
                try await controller.wait(for: "n1", registered: false)
                #expect(try await controller.ids() == [id])
                #expect(try await controller.cluster.listNodes(.init()).nodes.map(\.state) == ["away"])
                await expect(.unavailable, "n1") { try await controller.delete(id) }
                await expect(.unavailable, "n1") { _ = try await controller.create(.volume("a")) }
                try await cluster.withNode("n1", await manager.afterCrash(), controllers: [controller.endpoint]) { _ in
                    try await controller.wait(for: "n1")
                    try await controller.delete(id)
                    #expect(try await controller.ids().isEmpty)
                }
            }
        }
    }

    @Test("what was on a node that was given up counts as deleted, until it comes back")
    func forgotten() async throws {
        try await withCluster { cluster in
            let manager = InMemoryDeviceManager()
            let id = try await cluster.withController { controller in
                let id = try await cluster.withNode("n1", manager, controllers: [controller.endpoint]) { _ in
                    try await controller.wait(for: "n1")
                    await expect(.failedPrecondition) {
                        _ = try await controller.cluster.forgetNode(.with { $0.nodeID = "n1" })
                    }
                    return try await controller.create(.volume("a")).volumeID
                }
                try await controller.wait(for: "n1", registered: false)
                let answer = try await controller.cluster.forgetNode(.with { $0.nodeID = "n1" })
                #expect(answer.volumes == 1)
                #expect(try await controller.ids().isEmpty)
                try await controller.delete(id)
                return id
            }
            // Also by a controller that was started anew.
            try await cluster.withController { controller in
                try await controller.delete(id)
                _ = try await controller.csi.controllerUnpublishVolume(.with { $0.volumeID = id })
                #expect(try await controller.cluster.listNodes(.init()).nodes.map(\.state) == ["forgotten"])
                try await cluster.withNode("n1", await manager.afterCrash(), controllers: [controller.endpoint]) { _ in
                    try await controller.wait(for: "n1")
                    #expect(try await controller.ids() == [id])
                }
            }
        }
    }

    @Test("a controller that lost everything knows all again once the nodes are back, within seconds")
    func restart() async throws {
        try await withCluster { cluster in
            let first = try await cluster.withController("one") { controller in
                _ = try await controller.ids()
                return controller.endpoint
            }
            try await cluster.withNode("n1", controllers: [first]) { _ in
                let id = try await cluster.withController("two", at: first) { controller in
                    try await controller.wait(for: "n1")
                    return try await controller.create(.volume("a")).volumeID
                }
                let start = ContinuousClock.now
                try await cluster.withController("three", at: first) { controller in
                    try await controller.wait(for: "n1")
                    #expect(start.duration(to: .now) < .seconds(5))
                    #expect(try await controller.ids() == [id])
                    #expect(try await controller.create(.volume("a")).volumeID == id)
                }
            }
        }
    }
}
