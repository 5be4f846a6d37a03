import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("ValidateVolumeCapabilities", .timeLimit(.minutes(5)))
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
            let capabilities: [Csi_V1_VolumeCapability] = [
                .mount(), .mount("ext4", flags: ["noatime"], .singleNodeReaderOnly), .mount("xfs"),
                .block(.singleNodeMultiWriter),
            ]
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
                { $0.volumeCapabilities = [.mount("btrfs")] }, { $0.mutableParameters = ["nsmode": "fsdax"] },
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
