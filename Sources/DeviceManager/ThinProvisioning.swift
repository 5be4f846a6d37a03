import LVM

/// How much of a volume group becomes its thin pool, and how much the volumes in a pool may be together.
///
/// A value from the driver's flags, owned by the LVM device manager.
package struct ThinProvisioning: Sendable, Equatable {
    /// Percent of the group's free space at the time of its first thin volume.
    package let poolPercent: Int
    /// The sum of the volumes' sizes in relation to the pool's. Up to 1 no write ever finds the pool full.
    package let overcommit: Double

    package init(poolPercent: Int = 50, overcommit: Double = 1) {
        self.poolPercent = poolPercent
        self.overcommit = overcommit
    }

    static let poolName = "pmem-csi-thin"
    /// What becomes the pool's tables; there is no volume of that name once the pool is made.
    static let tablesName = "pmem-csi-thin-tables"

    /// Sizes of the two volumes that a pool is made of.
    struct Plan: Equatable {
        let data: UInt64
        let tables: UInt64
    }

    /// What the volumes of a pool may be together.
    func limit(ofPool size: UInt64) -> UInt64 {
        UInt64(exactly: (Double(size) * overcommit).rounded(.down)) ?? .max
    }

    /// The pool that a group with that much free space would get; nil where it is too small.
    func plan(free: UInt64, extent: UInt64) -> Plan? {
        let extent = max(extent, 1)
        let percent = UInt64(poolPercent)
        let wanted = min(free / 100 * percent + free % 100 * percent / 100, Self.largestPool)
        let tables = (tables(for: wanted) + extent - 1) / extent * extent
        guard free > tables else { return nil }
        let data = min(wanted, free - tables) / extent * extent
        return data > 0 ? Plan(data: data, tables: tables) : nil
    }

    /// 64 bytes for each chunk of each volume, as LVM reckons for a pool without over-commit; tables that are full stop
    /// the pool, so small ones get more.
    private func tables(for size: UInt64) -> UInt64 {
        let chunks = Double(size / LVM.chunkSize) * max(overcommit, 1)
        return UInt64(min(max(chunks * 64, Double(Self.smallestTables)), Double(Self.largestTables)))
    }

    private static let smallestTables: UInt64 = 16 << 20
    /// The most that dm-thin uses is a little below 16 GiB, and it addresses less than 15.88 TiB.
    private static let largestTables: UInt64 = 15 << 30
    private static let largestPool: UInt64 = 15 << 40
}
