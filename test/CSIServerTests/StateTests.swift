import CSIProto
import DeviceManager
import GRPCCore
import Host
import Logging
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("Starting", .timeLimit(.minutes(5)))
struct StartTests {
    /// Every call that needs the volumes.
    private func calls(_ driver: Driver) -> [() async throws -> Void] {
        let id = VolumeID(name: "a", node: "node-1").rawValue
        return [
            { try await driver.create("a") }, { try await driver.delete(id) }, { try await driver.publish(id) },
            { try await driver.unpublish(id) }, { _ = try await driver.list() }, { _ = try await driver.free() },
            {
                _ = try await driver.controller.validateVolumeCapabilities(
                    .with {
                        $0.volumeID = id
                        $0.volumeCapabilities = [.mount()]
                    })
            },
            { try await driver.create(.volume("b").from(volume: id)) }, { try await driver.snapshot("s", of: id) },
            { try await driver.deleteSnapshot(id) }, { _ = try await driver.snapshots() },
            { _ = try await driver.getSnapshot(id) }, { try await driver.expand(id, to: mib) },
            { try await driver.modify(id, ["eraseafter": "true"]) }, { _ = try await driver.volume(id) },
            { try await driver.stage(id, at: "/x") }, { try await driver.unstage(id, at: "/x") },
            { try await driver.publish(id, from: "/x", at: "/y") }, { try await driver.unpublish(id, at: "/y") },
        ]
    }

    @Test("until the devices were looked at, Probe is not ready and calls are UNAVAILABLE")
    func starting() async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory, isReady: false) { driver in
                let response = try await driver.identity.probe(.init())
                #expect(response.hasReady && !response.ready.value)
                for call in calls(driver) { await expect(.unavailable, "try again") { try await call() } }
                #expect(await manager.passed.isEmpty)
                try await driver.pool.start()
                #expect(try await driver.identity.probe(.init()).ready.value)
            }
        }
    }

    @Test("while the devices do not work, Probe is FAILED_PRECONDITION and calls are UNAVAILABLE, with the reason")
    func failed() async throws {
        let manager = InMemoryDeviceManager()
        await manager.fail(at: .start, DeviceError(.failed, "no device-mapper in this kernel"))
        let failure = LogRecorder()
        try await withDirectory { directory in
            try await withDriver(manager, in: directory, isReady: false, logger: failure.logger(.error)) { driver in
                let recovery = Task { try await driver.recovery().run() }
                // The second attempt comes after a pause; what is seen before it is the failure.
                let again = await manager.pause(at: .volumes)
                await again.waitUntilReached()
                await expect(.failedPrecondition, "no device-mapper") { _ = try await driver.identity.probe(.init()) }
                for call in calls(driver) { await expect(.unavailable, "no device-mapper") { try await call() } }
                again.release()
                recovery.cancel()
                try await recovery.value
                #expect(try await driver.identity.probe(.init()).ready.value)
                #expect(failure.lines.contains { $0.contains("no device-mapper") })
            }
        }
    }

    @Test("who the plugin is can be asked at any time")
    func identity() async throws {
        try await withDirectory { directory in
            try await withDriver(InMemoryDeviceManager(), in: directory, isReady: false) { driver in
                let info = try await driver.identity.getPluginInfo(.init())
                #expect(info.name == Driver.name && info.vendorVersion == "1.2.3")
                let services = try await driver.identity.getPluginCapabilities(.init()).capabilities
                #expect(
                    services.compactMap { $0.type == nil ? nil : $0.service.type }.starts(with: [
                        .controllerService, .volumeAccessibilityConstraints,
                    ]))
                let node = try await driver.node.nodeGetInfo(.init())
                #expect(
                    node.nodeID == "node-1" && node.accessibleTopology.segments == ["\(Driver.name)/node": "node-1"])
                let controller = try await driver.controller.controllerGetCapabilities(.init()).capabilities
                #expect(
                    Set(controller.map(\.rpc.type)).isSuperset(of: [
                        .createDeleteVolume, .publishUnpublishVolume, .publishReadonly, .listVolumes, .getCapacity,
                    ]))
                #expect(
                    try await driver.node.nodeGetCapabilities(.init()).capabilities.map(\.rpc.type)
                        .contains(.stageUnstageVolume))
            }
        }
    }
}

@Suite("Operations in flight", .timeLimit(.minutes(5)))
struct InFlightTests {
    @Test("a second call on the same volume is ABORTED, one on another volume goes through")
    func sameVolume() async throws {
        try await withDriver { driver, manager in
            let id = VolumeID(name: "a", node: "node-1").rawValue
            let pause = await manager.pause(at: .create)
            async let first = driver.create("a")
            await pause.waitUntilReached()
            await expect(.aborted, id) { try await driver.create("a") }
            await expect(.aborted, id) { try await driver.delete(id) }
            await expect(.aborted, id) { try await driver.publish(id) }
            await expect(.aborted, id) { try await driver.unpublish(id) }
            await expect(.aborted, id) { try await driver.expand(id, to: mib) }
            await expect(.aborted, id) { try await driver.modify(id, ["eraseafter": "true"]) }
            await expect(.aborted, id) { try await driver.snapshot("s", of: id) }
            await expect(.aborted, id) { try await driver.create(.volume("b").from(volume: id)) }
            await expect(.aborted, id) { try await driver.stage(id, at: "/x") }
            await expect(.aborted, id) { try await driver.unstage(id, at: "/x") }
            await expect(.aborted, id) { try await driver.publish(id, from: "/x", at: "/y") }
            await expect(.aborted, id) { try await driver.unpublish(id, at: "/y") }
            let other = try await driver.create("b").volumeID
            try await driver.publish(other)
            try await driver.unpublish(other)
            try await driver.delete(other)
            pause.release()
            #expect(try await first.volumeID == id)
            #expect(try await driver.create("a").volumeID == id)
            try await driver.delete(id)
        }
    }

    @Test("while a volume is erased its creation and deletion are ABORTED, and fine afterwards")
    func deletion() async throws {
        try await withDriver { driver, manager in
            let id = try await driver.create("a").volumeID
            let pause = await manager.pause(at: .erasing)
            async let first: Void = driver.delete(id)
            await pause.waitUntilReached()
            await expect(.aborted, id) { try await driver.delete(id) }
            await expect(.aborted, id) { try await driver.create("a") }
            pause.release()
            try await first
            try await driver.delete(id)
            #expect(try await driver.create("a").volumeID == id)
        }
    }

    @Test("a failed call leaves its volume free for the next")
    func afterFailure() async throws {
        try await withDriver { driver, manager in
            await manager.fail(at: .create, DeviceError(.failed, "broken"))
            await expect(.internalError, "broken") { try await driver.create("a") }
            try await driver.create("a")
        }
    }
}

@Suite("Status codes")
struct StatusCodeTests {
    /// What CSI's tables and the sidecars make of a call's end.
    private static let known: Set<RPCError.Code> = [
        .invalidArgument, .notFound, .alreadyExists, .resourceExhausted, .failedPrecondition, .aborted, .outOfRange,
        .unimplemented, .internalError, .unavailable,
    ]

    @Test("every code of a device manager has one of CSI's, with a text", arguments: DeviceError.Code.allCases)
    func device(code: DeviceError.Code) throws {
        let cause = DeviceError(.failed, "the cause")
        let error = DeviceError(code, "volume x: what went wrong", cause: cause)
        #expect(Self.known.contains(error.rpcErrorCode))
        #expect(error.rpcErrorMessage == "volume x: what went wrong: the cause")
        #expect((error.rpcErrorCode == .internalError) == (code == .failed))
    }

    @Test("every code of a request has its own, with a text", arguments: RequestError.Code.allCases)
    func request(code: RequestError.Code) {
        let error = RequestError(code, "why")
        #expect("\(error.rpcErrorCode)" == "\(code)")
        #expect(error.rpcErrorMessage == "why")
    }

    @Test(
        "what the machine refuses never says that the volume is not there",
        arguments: [
            (.notFound, .failedPrecondition), (.busy, .failedPrecondition), (.permissionDenied, .internalError),
            (.unsupported, .failedPrecondition), (.noSpace, .resourceExhausted), (.invalidArgument, .invalidArgument),
            (.failed, .internalError),
        ] as [(HostError.Code, RPCError.Code)])
    func host(code: HostError.Code, expected: RPCError.Code) {
        #expect(HostError(code, "why").rpcErrorCode == expected)
        #expect(HostError(code, "why").rpcErrorMessage == "why")
        // The same error as a device manager passes it on has one message, not two.
        #expect(DeviceError(HostError(code, "why")).rpcErrorMessage == "why")
    }

    @Test("each error reaches the caller with its code", arguments: DeviceError.Code.allCases)
    func onTheWire(code: DeviceError.Code) async throws {
        try await withDriver { driver, manager in
            let error = DeviceError(code, "what went wrong")
            await manager.fail(at: .capacity, error)
            await expect(error.rpcErrorCode, "what went wrong") { _ = try await driver.free() }
        }
    }
}
