import CSIProto
import GRPCCore
import SwiftProtobuf

/// The tables of what must be refused.
extension ErrorSteps {
    typealias Creation = Csi_V1_CreateVolumeRequest
    typealias Attempt = @Sendable () async throws -> Void

    static var badCreations: [(String, Creation)] {
        [
            bad("no name") { $0.name = "" },
            bad("a name of 129 bytes") { $0.name = String(repeating: "x", count: 129) },
            bad("a name with a control character") { $0.name = "pvc\u{7}" },
            bad("parameters of more than 4 KiB") { request in
                for number in 100..<150 {
                    request.parameters["csi.storage.k8s.io/\(number)"] = String(repeating: "x", count: 100)
                }
            },
            bad("an unknown parameter") { $0.parameters["colour"] = "blue" },
            bad("an unknown nsmode") { $0.parameters["nsmode"] = "tape" },
            bad("eraseafter that is not Boolean") { $0.parameters["eraseafter"] = "perhaps" },
            bad("a negative size") { $0.capacityRange.requiredBytes = -1 },
            bad("a negative limit") { $0.capacityRange.limitBytes = -1 },
            bad("a limit below the size") { $0.capacityRange.limitBytes = Int64(8 * MiB) },
            bad("no capability") { $0.volumeCapabilities = [] },
            bad("a capability without access type") { $0.volumeCapabilities[0].accessType = nil },
            bad("a capability without access mode") { $0.volumeCapabilities[0].accessMode.mode = .unknown },
            bad("many writers in the second capability") {
                $0.volumeCapabilities.append(capability(.multiNodeMultiWriter))
            },
            bad("an unknown file system in the second capability") {
                $0.volumeCapabilities.append(capability())
                $0.volumeCapabilities[1].mount.fsType = "btrfs"
            },
            bad("an unknown file system") { $0.volumeCapabilities[0].mount.fsType = "fat" },
        ]
    }

    /// The same name, and something else differs.
    static func differing(_ spec: VolumeSpec) -> [(String, Creation)] {
        [
            changed(spec.request, "a larger size") { $0.capacityRange.requiredBytes = Int64(128 * MiB) },
            changed(spec.request, "a limit below the volume's size") {
                ($0.capacityRange.requiredBytes, $0.capacityRange.limitBytes) = (Int64(4 * MiB), Int64(32 * MiB))
            },
            changed(spec.request, "another eraseafter") { $0.parameters["eraseafter"] = "true" },
            changed(spec.request, "another nsmode") { $0.parameters["nsmode"] = "sector" },
        ]
    }

    private static func bad(_ what: String, _ change: (inout Creation) -> Void) -> (String, Creation) {
        changed(VolumeSpec(name: "pvc-bad", size: 16 * MiB).request, what, change)
    }

    private static func changed<Request>(
        _ request: Request, _ what: String, _ change: (inout Request) -> Void
    ) -> (String, Request) {
        var request = request
        change(&request)
        return (what, request)
    }

    /// Calls on an existing volume that lack a field.
    static func incomplete(_ lab: Lab, _ volume: Volume) -> [(String, Attempt)] {
        let (none, csi) = (Volume(volume.spec, .init()), lab.csi)
        let stage = Csi_V1_NodeStageVolumeRequest.with {
            ($0.volumeID, $0.stagingTargetPath, $0.volumeCapability) = (volume.id, volume.stagePath, capability())
        }
        let publish = Csi_V1_NodePublishVolumeRequest.with {
            ($0.volumeID, $0.stagingTargetPath) = (volume.id, volume.stagePath)
            ($0.targetPath, $0.volumeCapability) = (volume.targetPath, capability())
        }
        let stages = [
            changed(stage, "NodeStageVolume without a staging path") { $0.stagingTargetPath = "" },
            changed(stage, "NodeStageVolume without a capability") { $0.clearVolumeCapability() },
            changed(stage, "NodeStageVolume of an unknown file system") { $0.volumeCapability.mount.fsType = "fat" },
        ]
        let publishes = [
            changed(publish, "NodePublishVolume without a target path") { $0.targetPath = "" },
            changed(publish, "NodePublishVolume without a capability") { $0.clearVolumeCapability() },
        ]
        let calls: [(String, Attempt)] = [
            ("DeleteVolume without an id", { try await csi.delete("") }),
            ("ControllerPublishVolume without an id", { try await none.controllerPublish() }),
            ("ControllerPublishVolume without a node", { try await volume.controllerPublish(node: "") }),
            ("ControllerUnpublishVolume without an id", { try await none.controllerUnpublish() }),
            ("NodeStageVolume without an id", { try await none.stage() }),
            ("NodePublishVolume without an id", { try await none.publish() }),
            ("NodeUnpublishVolume without an id", { try await none.unpublish() }),
            ("NodeUnpublishVolume without a path", { try await volume.unpublish(at: "") }),
            ("NodeUnstageVolume without an id", { try await none.unstage() }),
            ("ValidateVolumeCapabilities without an id", { _ = try await csi.validate("", [capability()]) }),
            ("ValidateVolumeCapabilities without capabilities", { _ = try await csi.validate(volume.id, []) }),
            ("GetCapacity of an unknown nsmode", { _ = try await csi.capacity(mode: "tape") }),
        ]
        return calls
            + stages.map { name, request in
                let call: Attempt = {
                    _ = try await csi.node { try await $0.nodeStageVolume(request, options: CSI.options) }
                }
                return (name, call)
            }
            + publishes.map { name, request in
                let call: Attempt = {
                    _ = try await csi.node { try await $0.nodePublishVolume(request, options: CSI.options) }
                }
                return (name, call)
            }
    }
}

extension CSI {
    func validate(_ id: String, _ capabilities: [Csi_V1_VolumeCapability]) async throws -> Bool {
        let request = Csi_V1_ValidateVolumeCapabilitiesRequest.with {
            ($0.volumeID, $0.volumeCapabilities) = (id, capabilities)
        }
        return try await controller {
            try await $0.validateVolumeCapabilities(request, options: Self.options).hasConfirmed
        }
    }
}
