import CSIProto
import GRPCCore
import SwiftProtobuf

/// Well-formed calls at the wrong time or about the wrong volume.
extension ErrorSteps {
    static func missing(_ lab: Lab) async throws -> String {
        let known = try await withVolume(VolumeSpec(name: "pvc-known", size: 4 * MiB)) { $0.id }
        let unknown = "pvc-0123456789abcdef0123456789abcdef-"
        for id in [unknown + known.suffix(10), "no-id-of-ours"] {
            let volume = Volume(VolumeSpec(name: "pvc-missing"), .with { $0.volumeID = id })
            let calls: [(String, Attempt)] = [
                ("ControllerPublishVolume", { try await volume.controllerPublish() }),
                ("NodeStageVolume", { try await volume.stage() }),
                ("NodePublishVolume", { try await volume.publish() }),
                ("ValidateVolumeCapabilities", { _ = try await lab.csi.validate(id, [capability()]) }),
            ]
            try await every(calls) { call in try await refused(.notFound, " of \(id)", call) }
            try await volume.delete()
            try await volume.controllerUnpublish()
        }
        // The node that has it may be only away.
        try await refused(.unavailable, "DeleteVolume of another node's") {
            try await lab.csi.delete(unknown + "0123456789")
        }
        return "NOT_FOUND to publish, stage and validate; OK to delete and detach; another node's UNAVAILABLE"
    }

    static func wrongState(_ lab: Lab) async throws -> String {
        try await withVolume(VolumeSpec(name: "pvc-state")) { volume in
            try await refused(.notFound, "ControllerPublishVolume to another node") {
                try await volume.controllerPublish(node: "host-2")
            }
            try await volume.controllerPublish()
            try await refused(.alreadyExists, "ControllerPublishVolume again, read-only") {
                try await volume.controllerPublish(readOnly: true)
            }
            try await refused(.failedPrecondition, "NodePublishVolume before NodeStageVolume") {
                try await volume.publish()
            }
            try await volume.stage()
            try await volume.publish()
            try await refused(.alreadyExists, "NodePublishVolume again, read-only") {
                try await volume.publish(readOnly: true)
            }
            try await refused(.failedPrecondition, "NodePublishVolume at a second path") {
                try await volume.publish(at: "\(volume.directory)/pod/other", mode: .singleNodeSingleWriter)
            }
            try check(try await lab.csi.validate(volume.id, [capability()]), "its own capability is not confirmed")
            let many = [capability(), capability(.multiNodeMultiWriter)]
            try check(try await !lab.csi.validate(volume.id, many), "many writers are confirmed")
            let mounts = try Kernel.mounts().filter { $0.point.hasPrefix(volume.directory) }
            try checkEqual(mounts.count, 2, "mounts after all refusals")
            return "5 refusals, the mounts as before; only what it can do is confirmed"
        }
    }
}
