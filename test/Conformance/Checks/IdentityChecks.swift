import CSIProto
import GRPCCore
import SwiftProtobuf

/// What the driver says of itself, and that what it does not offer is unimplemented.
enum IdentityChecks {
    static let topic = Topic(
        "Identity",
        [
            Check("the plugin's name is one in domain style") { driver in
                let name = driver.facts.plugin.name
                let form = /[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?/
                try require(name.wholeMatch(of: form) != nil, "name \"\(name)\"")
                return "\(name) \(driver.facts.plugin.vendorVersion)"
            },
            Check("Probe says ready") { driver in
                let answer = try await driver.send(Csi_V1_ProbeRequest())
                try require(!answer.hasReady || answer.ready.value, "ready is false")
                return answer.hasReady ? "ready" : "ready is absent, which means the same"
            },
            Check("capabilities stay the same and come once each") { driver in
                let again = try await Facts(of: driver.client)
                try requireEqual(again.offered, driver.facts.offered, "capabilities")
                let controller = try await driver.send(Csi_V1_ControllerGetCapabilitiesRequest())
                let types = controller.capabilities.map(\.rpc.type)
                try requireEqual(types.count, Set(types).count, "different controller capabilities")
                return "\(again.offered.count)"
            },
            Check("NodeGetInfo names the node the same way each time") { driver in
                let again = try await driver.send(Csi_V1_NodeGetInfoRequest())
                try requireEqual(again, driver.facts.node, "NodeGetInfo")
                try require(again.maxVolumesPerNode >= 0, "max_volumes_per_node \(again.maxVolumesPerNode)")
                return again.nodeID
            },
            Check("calls that are not advertised are UNIMPLEMENTED") { driver in
                let volume = try await driver.volume()
                let calls = optional(volume).filter { !driver.offers($0.0) }.map { (type(of: $0.1).title, $0.1) }
                try await forEach(calls) { call in try await driver.expect([.unimplemented], of: call, "") }
                return calls.isEmpty ? "all are advertised" : "\(calls.count)"
            },
        ])

    /// A sensible request of each call that a capability announces.
    private static func optional(_ volume: Volume) -> [(Feature, any Call)] {
        let driver = volume.driver
        let group = Csi_V1_CreateVolumeGroupSnapshotRequest.with {
            ($0.name, $0.sourceVolumeIds) = (driver.name("group"), [volume.id])
        }
        let modification = Csi_V1_ControllerModifyVolumeRequest.with {
            ($0.volumeID, $0.mutableParameters) = (volume.id, ["key": "value"])
        }
        return [
            (.attach, volume.attachment), (.attach, volume.detachment),
            (.list, Csi_V1_ListVolumesRequest()), (.capacity, Csi_V1_GetCapacityRequest()),
            (.getVolume, Csi_V1_ControllerGetVolumeRequest.with { $0.volumeID = volume.id }),
            (.snapshots, volume.snapshot(driver.name("snapshot"))),
            (.snapshots, Csi_V1_DeleteSnapshotRequest.with { $0.snapshotID = "none" }),
            (.controller(.listSnapshots), Csi_V1_ListSnapshotsRequest()),
            (.controller(.getSnapshot), Csi_V1_GetSnapshotRequest.with { $0.snapshotID = "none" }),
            (.expansion, volume.expansion(to: volume.size)), (.controller(.modifyVolume), modification),
            (.stage, volume.stage), (.stage, volume.unstage), (.stats, volume.stats),
            (.node(.expandVolume), volume.nodeExpansion(to: volume.size)),
            (.plugin(.groupControllerService), group),
            (.plugin(.groupControllerService), Csi_V1_GroupControllerGetCapabilitiesRequest()),
            (
                .plugin(.groupControllerService),
                Csi_V1_GetVolumeGroupSnapshotRequest.with { $0.groupSnapshotID = "none" }
            ),
            (
                .plugin(.groupControllerService),
                Csi_V1_DeleteVolumeGroupSnapshotRequest.with { $0.groupSnapshotID = "none" }
            ),
        ]
    }
}
