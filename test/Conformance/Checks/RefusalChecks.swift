import CSIProto
import GRPCCore
import SwiftProtobuf

/// Requests that lack something or hold something impossible: INVALID_ARGUMENT, and nothing is done.
enum RefusalChecks {
    static let topic = Topic(
        "Ill-formed requests",
        [
            Check("CreateVolume") { driver in try await refuse(creations(driver), driver) },
            Check("the other controller calls") { driver in
                let volume = try await driver.volume()
                return try await refuse(controller(volume), driver)
            },
            Check("node calls, with the volume published") { driver in
                let volume = try await driver.volume()
                try await volume.up()
                let before = try Disk.mounts(below: driver.settings.work)
                let note = try await refuse(node(volume), driver)
                try requireEqual(try Disk.mounts(below: driver.settings.work), before, "mounts afterwards")
                return note
            },
            Check("paths that are not absolute, or climb", core: false) { driver in
                let volume = try await driver.volume()
                try await volume.attachIt()
                try await volume.stageIt()
                let paths = ["relative/path", "./here", "../there", ""]
                let calls = paths.map { path in
                    ("\"\(path)\"", volume.publish.changing { $0.targetPath = path } as any Call)
                }
                return try await refuse(calls, driver)
            },
        ])

    typealias Row = (String, any Call)

    private static func refuse(_ rows: [Row], _ driver: Driver) async throws -> String {
        let offered = rows.filter { row in isOffered(row.1, driver) }
        try await forEach(offered) { call in try await driver.expect([.invalidArgument], of: call, "") }
        return "\(offered.count) requests"
    }

    static func isOffered(_ call: any Call, _ driver: Driver) -> Bool {
        switch call {
        case is Csi_V1_ControllerPublishVolumeRequest, is Csi_V1_ControllerUnpublishVolumeRequest:
            driver.offers(.attach)
        case is Csi_V1_ListVolumesRequest: driver.offers(.list)
        case is Csi_V1_GetCapacityRequest: driver.offers(.capacity)
        case is Csi_V1_ControllerGetVolumeRequest: driver.offers(.getVolume)
        case is Csi_V1_CreateSnapshotRequest, is Csi_V1_DeleteSnapshotRequest: driver.offers(.snapshots)
        case is Csi_V1_ListSnapshotsRequest: driver.offers(.controller(.listSnapshots))
        case is Csi_V1_GetSnapshotRequest: driver.offers(.controller(.getSnapshot))
        case is Csi_V1_ControllerExpandVolumeRequest: driver.offers(.expansion)
        case is Csi_V1_ControllerModifyVolumeRequest: driver.offers(.controller(.modifyVolume))
        case is Csi_V1_NodeStageVolumeRequest, is Csi_V1_NodeUnstageVolumeRequest: driver.offers(.stage)
        case is Csi_V1_NodeGetVolumeStatsRequest: driver.offers(.stats)
        case is Csi_V1_NodeExpandVolumeRequest: driver.offers(.node(.expandVolume))
        default: true
        }
    }

    private static func creations(_ driver: Driver) -> [Row] {
        func row(_ title: String, _ change: (inout Csi_V1_CreateVolumeRequest) -> Void) -> Row {
            (title, driver.creation().changing(change))
        }
        return [
            row("no name") { $0.name = "" },
            row("no capabilities") { $0.volumeCapabilities = [] },
            row("neither mount nor block") { $0.volumeCapabilities[0].accessType = nil },
            row("no access mode") { $0.volumeCapabilities[0].clearAccessMode() },
            row("access mode UNKNOWN") { $0.volumeCapabilities[0].accessMode.mode = .unknown },
            row("an access mode of another age") { $0.volumeCapabilities[0].accessMode.mode = .UNRECOGNIZED(99) },
            row("a bad second capability") { $0.volumeCapabilities.append(.init()) },
            row("a file system nobody has") { $0.volumeCapabilities = [.mount("no-such-fs")] },
            row("negative required_bytes") { $0.capacityRange.requiredBytes = -1 },
            row("the most negative required_bytes") { $0.capacityRange.requiredBytes = .min },
            row("negative limit_bytes") { $0.capacityRange.limitBytes = -1 },
            row("an unknown parameter") { $0.parameters["no-such-parameter"] = "1" },
            row("an unknown mutable parameter") { $0.mutableParameters["no-such-parameter"] = "1" },
            row("a source without a type") { $0.volumeContentSource = .init() },
            row("a snapshot source without an id") { $0.volumeContentSource.snapshot = .init() },
            row("a volume source without an id") { $0.volumeContentSource.volume = .init() },
        ]
    }
}
