extension ShortForm {
    static let all: [ShortForm] =
        volumes + snapshots + node + [
            ShortForm(name: "probe", method: "Probe"),
            ShortForm(name: "info", method: "GetPluginInfo"),
            ShortForm(name: "node-info", method: "NodeGetInfo"),
            ShortForm(name: "nodes", method: "ListNodes"),
            ShortForm(name: "node forget", method: "ForgetNode", positionals: ["node_id"]),
        ]

    private static let volumes = [
        ShortForm(
            name: "create", method: "CreateVolume", positionals: ["name"], capability: "volume_capabilities.0",
            defaults: [("capacity_range.required_bytes", "1Gi")]),
        ShortForm(name: "delete", method: "DeleteVolume", positionals: ["volume_id"]),
        ShortForm(name: "list", method: "ListVolumes"),
        ShortForm(name: "get", method: "ControllerGetVolume", positionals: ["volume_id"]),
        ShortForm(name: "expand", method: "ControllerExpandVolume", positionals: ["volume_id"]),
        ShortForm(
            name: "modify", method: "ControllerModifyVolume", positionals: ["volume_id"],
            ownFlags: ["eraseafter": "mutable_parameters.eraseafter"]),
        ShortForm(name: "capacity", method: "GetCapacity"),
        ShortForm(
            name: "attach", method: "ControllerPublishVolume", positionals: ["volume_id", "node_id"],
            capability: "volume_capability"),
        ShortForm(name: "detach", method: "ControllerUnpublishVolume", positionals: ["volume_id", "node_id"]),
    ]

    private static let snapshots = [
        ShortForm(name: "snapshot", method: "CreateSnapshot", positionals: ["name", "source_volume_id"]),
        ShortForm(name: "delete-snapshot", method: "DeleteSnapshot", positionals: ["snapshot_id"]),
        ShortForm(name: "get-snapshot", method: "GetSnapshot", positionals: ["snapshot_id"]),
        ShortForm(name: "snapshots", method: "ListSnapshots"),
    ]

    private static let node = [
        ShortForm(
            name: "stage", method: "NodeStageVolume", positionals: ["volume_id", "staging_target_path"],
            capability: "volume_capability"),
        ShortForm(
            name: "publish", method: "NodePublishVolume",
            positionals: ["volume_id", "staging_target_path", "target_path"], capability: "volume_capability"),
        ShortForm(name: "unpublish", method: "NodeUnpublishVolume", positionals: ["volume_id", "target_path"]),
        ShortForm(name: "unstage", method: "NodeUnstageVolume", positionals: ["volume_id", "staging_target_path"]),
        ShortForm(name: "node-expand", method: "NodeExpandVolume", positionals: ["volume_id", "volume_path"]),
        ShortForm(name: "stats", method: "NodeGetVolumeStats", positionals: ["volume_id", "volume_path"]),
    ]

    /// Flags that set a field, whichever the short form.
    static let flags: [String: String] = [
        "size": "capacity_range.required_bytes",
        "limit": "capacity_range.limit_bytes",
        "nsmode": "parameters.nsmode",
        "eraseafter": "parameters.eraseafter",
        "provisioning": "parameters.provisioning",
        "allocation": "parameters.allocation",
        "from-snapshot": "volume_content_source.snapshot.snapshot_id",
        "from-volume": "volume_content_source.volume.volume_id",
        "volume": "source_volume_id",
        "staging": "staging_target_path",
        "max": "max_entries",
        "token": "starting_token",
    ]
}
