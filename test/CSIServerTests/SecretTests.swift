import CSIProto
import FoundationEssentials
import GRPCCore
import Logging
import SwiftProtobuf
import TestSupport
import Testing

@testable import CSIServer

@Suite("Secrets")
struct SecretTests {
    private static let proto: String = {
        let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = sources.appending(path: "Sources/CSIServer/Proto/csi.proto")
        return (try? Data(contentsOf: file)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }()

    /// The fields marked `csi_secret`, as "message.field".
    private static var marked: Set<String> {
        var (found, message): (Set<String>, String) = ([], "")
        // A field may be spread over several lines.
        var statement = ""
        for line in proto.split(separator: "\n") {
            if let match = line.firstMatch(of: /^message (\w+) \{/) { message = String(match.1) }
            statement += " " + line.prefix { $0 != "/" }
            guard line.contains(";") || line.contains("{") || line.contains("}") else { continue }
            if statement.contains("csi_secret"), let match = statement.firstMatch(of: /(\w+) = \d+/), !message.isEmpty {
                found.insert("\(message).\(match.1)")
            }
            statement = ""
        }
        return found
    }

    private static let carriers: [any CarriesSecrets.Type] = [
        Csi_V1_CreateVolumeRequest.self, Csi_V1_DeleteVolumeRequest.self, Csi_V1_ControllerPublishVolumeRequest.self,
        Csi_V1_ControllerUnpublishVolumeRequest.self, Csi_V1_ValidateVolumeCapabilitiesRequest.self,
        Csi_V1_ControllerModifyVolumeRequest.self, Csi_V1_CreateSnapshotRequest.self,
        Csi_V1_DeleteSnapshotRequest.self, Csi_V1_ListSnapshotsRequest.self, Csi_V1_GetSnapshotRequest.self,
        Csi_V1_ControllerExpandVolumeRequest.self, Csi_V1_NodeStageVolumeRequest.self,
        Csi_V1_NodePublishVolumeRequest.self, Csi_V1_NodeExpandVolumeRequest.self,
        Csi_V1_CreateVolumeGroupSnapshotRequest.self, Csi_V1_DeleteVolumeGroupSnapshotRequest.self,
        Csi_V1_GetVolumeGroupSnapshotRequest.self, Csi_V1_GetMetadataAllocatedRequest.self,
        Csi_V1_GetMetadataDeltaRequest.self,
    ]

    @Test("every field that csi.proto marks is known to the redaction")
    func complete() {
        let known = Set(Self.carriers.map { "\($0.protoMessageName.split(separator: ".").last ?? "").secrets" })
        // The option's own definition counts as none: 19 fields in CSI 1.12.
        #expect(Self.marked.count == 19)
        #expect(Self.marked == known)
    }

    @Test("no message shows its secrets", arguments: carriers.indices)
    func redacted(index: Int) {
        var message = Self.carriers[index].init()
        message.secrets = ["key": "hunter2"]
        let text = Redaction.text(of: message)
        #expect(!text.contains("hunter2") && text.contains("***"))
    }

    @Test("no message shows its mount flags")
    func mountFlags() {
        let capability = Csi_V1_VolumeCapability.mount(flags: ["hunter2"])
        let messages: [any SwiftProtobuf.Message] = [
            Csi_V1_CreateVolumeRequest.with { $0.volumeCapabilities = [.block(), capability] },
            Csi_V1_ValidateVolumeCapabilitiesRequest.with { $0.volumeCapabilities = [capability] },
            Csi_V1_GetCapacityRequest.with { $0.volumeCapabilities = [capability] },
            Csi_V1_ControllerPublishVolumeRequest.with { $0.volumeCapability = capability },
            Csi_V1_ControllerExpandVolumeRequest.with { $0.volumeCapability = capability },
            Csi_V1_NodeStageVolumeRequest.with { $0.volumeCapability = capability },
            Csi_V1_NodePublishVolumeRequest.with { $0.volumeCapability = capability },
            Csi_V1_NodeExpandVolumeRequest.with { $0.volumeCapability = capability },
            Csi_V1_ValidateVolumeCapabilitiesResponse.with { $0.confirmed.volumeCapabilities = [capability] },
        ]
        for message in messages {
            let text = Redaction.text(of: message)
            #expect(!text.contains("hunter2") && text.contains("***"), "\(type(of: message))")
        }
    }

    @Test("every message with a capability is known to the redaction")
    func capabilities() {
        var (found, message): ([String], String) = ([], "")
        for line in Self.proto.split(separator: "\n") {
            if let match = line.firstMatch(of: /^message (\w+) \{/) { message = String(match.1) }
            if line.contains(/^ *(repeated )?VolumeCapability \w+ = \d+/) { found.append(message) }
        }
        #expect(
            found.sorted() == [
                "ControllerExpandVolumeRequest", "ControllerPublishVolumeRequest", "CreateVolumeRequest",
                "GetCapacityRequest", "NodeExpandVolumeRequest", "NodePublishVolumeRequest", "NodeStageVolumeRequest",
                "ValidateVolumeCapabilitiesRequest", "ValidateVolumeCapabilitiesResponse",
            ])
    }

    @Test("a whole life shows neither at the finest log level, nor in a record", .enabled(if: isRoot, "needs root"))
    func life() async throws {
        let log = LogRecorder()
        try await withRealVolume(logger: log.logger(.trace)) { volume, directory in
            let id = try await prepare(volume.driver)
            try await mount(volume, id)
            let record = try Data(contentsOf: URL(filePath: "\(directory)/state/\(id).json"))
            #expect(!String(decoding: record, as: UTF8.self).contains("hunter"))
            try await remove(volume, id)
        }
        #expect(log.lines.count > 20)
        #expect(log.lines.contains { $0.contains("NodePublishVolume") && $0.contains("***") })
        #expect(log.lines.filter { $0.contains("hunter") } == [])
    }
}

// One volume's life; every call that can carry secrets and mount flags does.
extension SecretTests {
    private static let secrets = ["user": "hunter1", "password": "hunter2"]
    private static let capability = Csi_V1_VolumeCapability.mount(flags: ["noatime", "X-secret=hunter3"])

    private func prepare(_ driver: Driver) async throws -> String {
        let request = Csi_V1_CreateVolumeRequest.volume("b").with {
            $0.volumeCapabilities = [Self.capability]
            $0.secrets = Self.secrets
        }
        let id = try await driver.create(request).volumeID
        _ = try? await driver.create(request.with { $0.capacityRange.requiredBytes = 100 * mib })
        _ = try await driver.controller.controllerPublishVolume(
            .with {
                $0.volumeID = id
                $0.nodeID = "node-1"
                $0.volumeCapability = Self.capability
                $0.secrets = Self.secrets
            })
        _ = try await driver.controller.validateVolumeCapabilities(
            .with {
                $0.volumeID = id
                $0.volumeCapabilities = [Self.capability]
                $0.secrets = Self.secrets
            })
        return id
    }

    private func mount(_ volume: RealVolume, _ id: String) async throws {
        _ = try await volume.driver.node.nodeStageVolume(
            .with {
                $0.volumeID = id
                $0.stagingTargetPath = volume.staging
                $0.volumeCapability = Self.capability
                $0.secrets = Self.secrets
            })
        _ = try? await volume.driver.stage(id, at: volume.staging, .mount(flags: ["nosuid", "hunter3"]))
        _ = try await volume.driver.node.nodePublishVolume(
            .with {
                $0.volumeID = id
                $0.stagingTargetPath = volume.staging
                $0.targetPath = volume.target
                $0.volumeCapability = Self.capability
                $0.secrets = Self.secrets
            })
    }

    private func remove(_ volume: RealVolume, _ id: String) async throws {
        try await volume.driver.unpublish(id, at: volume.target)
        try await volume.driver.unstage(id, at: volume.staging)
        // Refused by the kernel, which is where an option is most likely to be repeated.
        _ = try? await volume.driver.stage(id, at: volume.staging, .mount(flags: ["hunter3=hunter3"]))
        _ = try await volume.driver.controller.controllerUnpublishVolume(
            .with {
                $0.volumeID = id
                $0.secrets = Self.secrets
            })
        _ = try await volume.driver.controller.deleteVolume(
            .with {
                $0.volumeID = id
                $0.secrets = Self.secrets
            })
    }
}
