/// One storage node's SPDK, for one call: every verb asks before it acts, so it can be cut off anywhere and come again.
package struct SPDKTarget: Sendable {
    package let node: StorageNodeConfiguration
    let client: RPCClient

    package init(node: StorageNodeConfiguration, client: RPCClient) {
        self.node = node
        self.client = client
    }

    package func stores(timeout: Duration = .seconds(10)) async throws(SPDKError) -> [LogicalVolumeStore] {
        let all: [LogicalVolumeStore] = try await client.read("bdev_lvol_get_lvstores", timeout: timeout)
        return all.filter { node.uses(store: $0.name) && $0.clusterSize > 0 }
    }

    /// Names, uuids and kinds of all logical volumes in the stores that are used.
    package func list(timeout: Duration = .seconds(10)) async throws(SPDKError) -> [ListedLogicalVolume] {
        let all: [ListedLogicalVolume] = try await client.read("bdev_lvol_get_lvols", timeout: timeout)
        return all.filter { node.uses(store: $0.store.name) }
    }

    /// Answers once SPDK has opened all volumes of the stores that it has found so far: one by one, which takes a while.
    package func waitForExamine(timeout: Duration = .seconds(10)) async throws(SPDKError) {
        let _: JSONNode = try await client.read("bdev_wait_for_examine", timeout: timeout)
    }

    /// By uuid, or by `store/name`; nil when there is none. With the size of its store's clusters it is told what is the
    /// volume's own.
    package func volume(
        _ name: String, clusterSize: UInt64? = nil
    ) async throws(SPDKError) -> LogicalVolume? {
        do {
            let found: [BlockDeviceReply] = try await client.read("bdev_get_bdevs", ["name": .string(name)])
            return found.first?.logicalVolume { _ in clusterSize }
        } catch {
            guard error.refusal == .notFound else { throw error }
            return nil
        }
    }

    package func volumes(in stores: [LogicalVolumeStore]) async throws(SPDKError) -> [LogicalVolume] {
        let sizes = Dictionary(stores.map { ($0.name, $0.clusterSize) }) { $1 }
        let found: [BlockDeviceReply] = try await client.read("bdev_get_bdevs", timeout: .seconds(20))
        return found.compactMap { device in device.logicalVolume { sizes[$0] } }.filter { node.uses(store: $0.store) }
    }
}

// Changes to logical volumes.
extension SPDKTarget {
    /// Throws a refusal of kind `exists` when the store has one of that name.
    package func create(
        _ name: String, in store: String, mebibytes: UInt64, isThin: Bool, clearing: String
    ) async throws(SPDKError) -> String {
        try await sized(
            "bdev_lvol_create",
            [
                "lvol_name": .string(name), "lvs_name": .string(store), "thin_provision": .bool(isThin),
                "clear_method": .string(clearing),
            ], mebibytes)
    }

    package func resize(_ uuid: String, mebibytes: UInt64) async throws(SPDKError) {
        let _: JSONNode = try await settled { () throws(SPDKError) in
            try await sized("bdev_lvol_resize", ["name": .string(uuid)], mebibytes)
        }
    }

    package func snapshot(_ uuid: String, named name: String) async throws(SPDKError) -> String {
        try await settled { () throws(SPDKError) in
            try await client.change(
                "bdev_lvol_snapshot", ["lvol_name": .string(uuid), "snapshot_name": .string(name)])
        }
    }

    package func clone(_ snapshot: String, named name: String) async throws(SPDKError) -> String {
        try await settled { () throws(SPDKError) in
            try await client.change(
                "bdev_lvol_clone", ["snapshot_name": .string(snapshot), "clone_name": .string(name)])
        }
    }

    /// Copies what the volume shares with the snapshot that it is based on, and bases it on what that one is based on.
    package func decouple(_ uuid: String) async throws(SPDKError) {
        let _: JSONNode = try await settled { () throws(SPDKError) in
            try await client.change("bdev_lvol_decouple_parent", ["name": .string(uuid)], timeout: .seconds(600))
        }
    }

    /// Gives the volume all of its blocks, and no base any more; twice is as once.
    package func inflate(_ uuid: String) async throws(SPDKError) {
        let _: JSONNode = try await settled { () throws(SPDKError) in
            try await client.change("bdev_lvol_inflate", ["name": .string(uuid)], timeout: .seconds(600))
        }
    }

    /// Whether a volume can be larger than the snapshot that it is based on: before, what lies behind the snapshot's end
    /// could be neither read nor written (SPDK's "blob: handle IO to a resized blob").
    package func allowsSmallerBase() async throws(SPDKError) -> Bool {
        let reply: VersionReply = try await client.read("spdk_get_version")
        return (reply.fields.major, reply.fields.minor) >= (24, 9)
    }

    /// One that is gone is fine. Overwriting a large volume takes minutes.
    package func delete(_ uuid: String) async throws(SPDKError) {
        do {
            let _: JSONNode = try await settled { () throws(SPDKError) in
                try await client.change("bdev_lvol_delete", ["name": .string(uuid)], timeout: .seconds(600))
            }
        } catch {
            guard error.refusal == .notFound else { throw error }
            return
        }
    }

    package func limit(_ uuid: String, to limits: RateLimits) async throws(SPDKError) {
        guard !limits.values.isEmpty else { return }
        var parameters: [String: JSONNode] = ["name": .string(uuid)]
        for (key, value) in limits.values { parameters[key] = .integer(Int(clamping: value)) }
        let _: JSONNode = try await client.change("bdev_set_qos_limit", parameters)
    }

    /// Since 23.05 the size is in MiB, and since 24.05 only so; before, it was in bytes.
    private func sized<Result: Decodable & Sendable>(
        _ method: String, _ parameters: [String: JSONNode], _ mebibytes: UInt64
    ) async throws(SPDKError) -> Result {
        let count = Int(clamping: mebibytes)
        do {
            return try await client.change(method, parameters.merging(["size_in_mib": .integer(count)]) { $1 })
        } catch {
            guard error.refusal == .parameters && error.text.contains("decode_object") else { throw error }
            return try await client.change(
                method,
                parameters.merging(["size": .integer(count.multipliedReportingOverflow(by: 1 << 20).partialValue)]) {
                    $1
                })
        }
    }

    /// Waits for a change of somebody else's to end.
    func settled<Result: Sendable>(
        _ change: () async throws(SPDKError) -> Result
    ) async throws(SPDKError) -> Result {
        var pause = Duration.milliseconds(100)
        while true {
            do {
                return try await change()
            } catch {
                guard error.refusal == .busy && pause < .seconds(2) else { throw error }
                do {
                    try await Task.sleep(for: pause)
                } catch {
                    throw SPDKError(.notSent, "storage node \(node.name): cancelled")
                }
                pause *= 2
            }
        }
    }
}

private struct VersionReply: Decodable, Sendable {
    struct Fields: Decodable, Sendable {
        let major, minor: Int
    }

    let fields: Fields
}
