import CSIProto
import DeviceManager
import GRPCCore
import Logging
import Registry
import TestSupport
import Testing

@testable import CSIServer

@Suite("A cluster with several controllers, and nodes that are silent or slow", .timeLimit(.minutes(5)))
struct ClusterMemberTests {
    @Test("several controllers give the same answers")
    func several() async throws {
        try await withCluster { cluster in
            try await cluster.withController("one") { one in
                try await cluster.withController("two") { two in
                    try await cluster.withNode("n1", controllers: [one.endpoint, two.endpoint]) { _ in
                        try await cluster.withNode("n2", controllers: [one.endpoint, two.endpoint]) { _ in
                            for controller in [one, two] { try await controller.wait(for: "n1", "n2") }
                            let volume = try await one.create(
                                .volume("a").on(requisite: ["n1", "n2"], preferred: ["n2"]))
                            try await until { try await two.ids() == [volume.volumeID] }
                            let again = try await two.create(
                                .volume("a").on(requisite: ["n1", "n2"], preferred: ["n1"]))
                            #expect(again == volume)
                            try await two.publish(volume.volumeID, to: "n2")
                            try await until { try await one.list().map(\.status.publishedNodeIds) == [["n2"]] }
                            let (first, second) = (try await one.list(), try await two.list())
                            #expect(first == second)
                        }
                    }
                }
            }
        }
    }

    @Test("many nodes keep no connection, and are registered all the same")
    func withoutConnection() async throws {
        var timing = Registration.Timing()
        timing.connectedNodes = 0
        timing.refresh = .seconds(1)
        try await withCluster { cluster in
            let first = try await cluster.withController("one") { controller in
                _ = try await controller.ids()
                return controller.endpoint
            }
            try await cluster.withNode("n1", controllers: [first], timing: timing) { pool in
                let id = try await cluster.withController("two", at: first) { controller in
                    try await controller.wait(for: "n1")
                    let known = try #require(controller.registry.node("n1"))
                    try await until { controller.registry.node("n1")?.lastSeen != known.lastSeen }
                    #expect(controller.registry.registeredCount == 1)
                    // A change that this controller did not make is told without waiting for anything.
                    let id = try await controller.create(.volume("a")).volumeID
                    try await pool.delete(try #require(VolumeID(id)))
                    try await until { try await controller.ids().isEmpty }
                    return try await controller.create(.volume("a")).volumeID
                }
                try await cluster.withController("three", at: first) { controller in
                    try await controller.wait(for: "n1")
                    #expect(try await controller.ids() == [id])
                }
            }
        }
    }

    @Test("a node that does not answer delays nobody else")
    func slow() async throws {
        try await withCluster { cluster in
            try await cluster.withController { controller in
                let manager = InMemoryDeviceManager()
                try await cluster.withNode("n1", manager, controllers: [controller.endpoint]) { _ in
                    try await cluster.withNode("n2", controllers: [controller.endpoint]) { _ in
                        try await controller.wait(for: "n1", "n2")
                        let pause = await manager.pause(at: .create)
                        async let slow = controller.create(.volume("a").on(requisite: ["n1"]))
                        await pause.waitUntilReached()
                        #expect(try await controller.create(.volume("b").on(requisite: ["n2"])).node == "n2")
                        #expect(try await controller.ids().count == 1)
                        pause.release()
                        let made = try await slow
                        #expect(made.node == "n1")
                    }
                }
            }
        }
    }

    @Test("connections that failed before a registration do not end it")
    func failedBefore() async throws {
        let log = LogRecorder()
        try await withCluster(logger: log.logger(.info)) { cluster in
            try await cluster.withController { controller in
                let cable = CuttableProxy { controller.endpoint }
                cable.cut()
                try await cluster.withNode("n1", controllers: [try await cable.start()]) { _ in
                    try await until { cable.refused > 0 }
                    cable.mend()
                    try await controller.wait(for: "n1")
                    let version = controller.registry.node("n1")?.version
                    _ = try await controller.create(.volume("a"))
                    // Told after whatever the node took for the end of its connection.
                    try await until { controller.registry.node("n1")?.version != version }
                    #expect(!log.lines.contains { $0.contains("lost the connection to the controller") })
                }
                cable.stop()
            }
        }
    }

    @Test("a node whose volumes cannot be read is not registered")
    func unreadable() async throws {
        let log = LogRecorder()
        try await withCluster(logger: log.logger(.info)) { cluster in
            try await cluster.withController { controller in
                let real = Announcement<Endpoint>()
                let cable = CuttableProxy { try await real.value }
                cable.cut()
                try await cluster.withNode("n1", controllers: [controller.endpoint], via: cable, real: real) { _ in
                    _ = try await real.value
                    try await log.wait(for: "not registered with the controller")
                    #expect(controller.registry.node("n1") == nil)
                    cable.mend()
                    try await controller.wait(for: "n1")
                }
            }
        }
    }
}
