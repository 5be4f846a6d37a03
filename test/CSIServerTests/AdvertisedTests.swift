import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@Suite("What is advertised", .timeLimit(.minutes(5)))
struct AdvertisedTests {
    private static let always: Set<Csi_V1_ControllerServiceCapability.RPC.TypeEnum> = [
        .createDeleteVolume, .publishUnpublishVolume, .publishReadonly, .listVolumes, .listVolumesPublishedNodes,
        .getCapacity, .getVolume, .modifyVolume, .singleNodeMultiWriter,
    ]

    private func capabilities(
        _ driver: Driver
    ) async throws -> Set<Csi_V1_ControllerServiceCapability.RPC.TypeEnum> {
        Set(try await driver.controller.controllerGetCapabilities(.init()).capabilities.map(\.rpc.type))
    }

    @Test("a manager that can copy and grow volumes says so, and that volumes grow while they are used")
    func all() async throws {
        try await withDriver { driver, _ in
            #expect(
                try await capabilities(driver)
                    == Self.always.union([
                        .createDeleteSnapshot, .listSnapshots, .getSnapshot, .cloneVolume, .expandVolume,
                    ]))
            let plugin = try await driver.identity.getPluginCapabilities(.init()).capabilities
            #expect(plugin.filter { $0.volumeExpansion.type == .online }.count == 1)
        }
    }

    @Test("what the manager cannot do is neither advertised nor done")
    func nothing() async throws {
        try await withDirectory { directory in
            try await withDriver(PlainDeviceManager(), in: directory) { driver in
                #expect(try await capabilities(driver) == Self.always)
                let plugin = try await driver.identity.getPluginCapabilities(.init()).capabilities
                #expect(plugin.map(\.service.type) == [.controllerService, .volumeAccessibilityConstraints])
                let id = try await driver.create("a").volumeID
                await expect(.unimplemented, "CreateSnapshot") { try await driver.snapshot("s", of: id) }
                await expect(.unimplemented, "DeleteSnapshot") { try await driver.deleteSnapshot("s") }
                await expect(.unimplemented, "ListSnapshots") { _ = try await driver.snapshots() }
                await expect(.unimplemented, "GetSnapshot") { _ = try await driver.getSnapshot("s") }
                await expect(.unimplemented, "ControllerExpandVolume") { try await driver.expand(id, to: mib) }
                await expect(.invalidArgument, "volume_content_source") {
                    try await driver.create(.volume("b").from(volume: id))
                }
                try await driver.modify(id, ["eraseafter": "false"])
            }
        }
    }
}
