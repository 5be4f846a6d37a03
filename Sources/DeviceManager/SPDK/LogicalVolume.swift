/// A logical volume store as SPDK tells of it, in bytes.
package struct LogicalVolumeStore: Sendable, Decodable, Equatable {
    package let uuid: String
    package let name: String
    package let clusterSize: UInt64
    package let freeClusters: UInt64
    package let totalClusters: UInt64

    private enum CodingKeys: String, CodingKey {
        case uuid, name
        case clusterSize = "cluster_size"
        case freeClusters = "free_clusters"
        case totalClusters = "total_data_clusters"
    }

    package var free: UInt64 { freeClusters.multipliedReportingOverflow(by: clusterSize).partialValue }
    package var total: UInt64 { totalClusters.multipliedReportingOverflow(by: clusterSize).partialValue }
}

/// A line of SPDK's short list: enough to find one by name.
package struct ListedLogicalVolume: Sendable, Decodable, Equatable {
    package struct Store: Sendable, Decodable, Equatable {
        package let name: String
    }

    package let uuid: String
    package let name: String
    package let isSnapshot: Bool
    package let store: Store

    private enum CodingKeys: String, CodingKey {
        case uuid, name
        case isSnapshot = "is_snapshot"
        case store = "lvs"
    }

    package init(uuid: String, name: String, isSnapshot: Bool, store: String) {
        self.uuid = uuid
        self.name = name
        self.isSnapshot = isSnapshot
        self.store = Store(name: store)
    }
}

/// A logical volume or snapshot, as SPDK knows it now.
package struct LogicalVolume: Sendable, Equatable {
    package let uuid: String
    package let store: String
    package let name: String
    /// Bytes.
    package let size: UInt64
    package let isThin: Bool
    package let isSnapshot: Bool
    /// The name of the snapshot below it.
    package let base: String?
    /// Names of what is made from this snapshot; the volume that it was taken of is one of them.
    package let clones: [String]
    /// Bytes that are its own; nil where SPDK does not tell.
    package let allocated: UInt64?
    package let limits: RateLimits
}

/// Limits of a volume, 0 for none; operations per second and MiB per second.
package struct RateLimits: Sendable, Equatable {
    package static let keys = ["rw_ios_per_sec", "rw_mbytes_per_sec", "r_mbytes_per_sec", "w_mbytes_per_sec"]

    package var values: [String: UInt64]

    package init(_ values: [String: UInt64] = [:]) { self.values = values }

    package var isNone: Bool { values.values.allSatisfy { $0 == 0 } }
}

/// What bdev_get_bdevs answers, of which only logical volumes matter.
struct BlockDeviceReply: Decodable {
    struct Specific: Decodable {
        let lvol: Lvol?
    }

    struct Lvol: Decodable {
        let thin_provision: Bool
        let snapshot: Bool
        let base_snapshot: String?
        let clones: [String]?
        let num_allocated_clusters: UInt64?
    }

    let name: String
    let aliases: [String]?
    let uuid: String?
    let block_size: UInt64
    let num_blocks: UInt64
    let assigned_rate_limits: [String: UInt64]?
    let driver_specific: Specific?

    /// Nil for what is no logical volume.
    func logicalVolume(clusterSize: (String) -> UInt64?) -> LogicalVolume? {
        guard let lvol = driver_specific?.lvol, let alias = aliases?.first, let slash = alias.firstIndex(of: "/")
        else { return nil }
        let store = String(alias[..<slash])
        let (size, overflow) = block_size.multipliedReportingOverflow(by: num_blocks)
        guard !overflow else { return nil }
        return LogicalVolume(
            uuid: (uuid ?? name).lowercased(), store: store, name: String(alias[alias.index(after: slash)...]),
            size: size, isThin: lvol.thin_provision, isSnapshot: lvol.snapshot, base: lvol.base_snapshot,
            clones: lvol.clones ?? [],
            allocated: lvol.num_allocated_clusters.flatMap { count in
                clusterSize(store).map { $0.multipliedReportingOverflow(by: count).partialValue }
            },
            limits: RateLimits(assigned_rate_limits ?? [:]))
    }
}
