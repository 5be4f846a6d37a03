/// A volume group as one report showed it. A snapshot owned by the caller: `sequenceNumber` tells, compared with
/// `MetadataSequence`, whether it is still the truth.
package struct VolumeGroup: Sendable, Equatable {
    package let name: String
    package let id: String
    package let tags: [String]
    package let size: UInt64
    package var free: UInt64
    package let extentSize: UInt64
    /// LVM adds one for each change of the group's metadata.
    package var sequenceNumber: UInt64
    package let physicalVolumes: [PhysicalVolume]
    /// The volumes that users see; a thin pool's inner ones are not among them.
    package var logicalVolumes: [LogicalVolume]

    package init(
        name: String, id: String = "", tags: [String] = [], size: UInt64 = 0, free: UInt64 = 0,
        extentSize: UInt64 = LVM.extentSize, sequenceNumber: UInt64 = 1, physicalVolumes: [PhysicalVolume] = [],
        logicalVolumes: [LogicalVolume] = []
    ) {
        self.name = name
        self.id = id
        self.tags = tags
        self.size = size
        self.free = free
        self.extentSize = extentSize
        self.sequenceNumber = sequenceNumber
        self.physicalVolumes = physicalVolumes
        self.logicalVolumes = logicalVolumes
    }

    package func volume(_ name: String) -> LogicalVolume? {
        logicalVolumes.first { $0.name == name }
    }
}

/// A device that LVM owns, in a group or not yet.
package struct PhysicalVolume: Sendable, Equatable {
    /// LVM's name of the device, usually `/dev/pmemN`; "[unknown]" when it is missing.
    package let device: String
    package let id: String
    package let size: UInt64
    package var free: UInt64
    /// Where the first extent starts.
    package let dataStart: UInt64
    /// Room for metadata text, of which an update needs two copies.
    package let metadataSize: UInt64
    package let metadataFree: UInt64
    package let isMissing: Bool

    package init(
        device: String, id: String = "", size: UInt64 = 0, free: UInt64 = 0, dataStart: UInt64 = 18 << 20,
        metadataSize: UInt64 = 18 << 20, metadataFree: UInt64 = 9 << 20, isMissing: Bool = false
    ) {
        self.device = device
        self.id = id
        self.size = size
        self.free = free
        self.dataStart = dataStart
        self.metadataSize = metadataSize
        self.metadataFree = metadataFree
        self.isMissing = isMissing
    }
}

/// A logical volume as one report showed it.
package struct LogicalVolume: Sendable, Equatable {
    package let name: String
    package let id: String
    /// Of a thin volume what its users see, not what it has taken of its pool.
    package var size: UInt64
    package var tags: [String]
    package let isActive: Bool
    /// The thin pool of a thin volume.
    package let pool: String?
    /// What a snapshot was taken of.
    package let origin: String?
    /// Whether it is a thin pool itself.
    package let isPool: Bool

    package init(
        name: String, id: String = "", size: UInt64 = 0, tags: [String] = [], isActive: Bool = true,
        pool: String? = nil, origin: String? = nil, isPool: Bool = false
    ) {
        self.name = name
        self.id = id
        self.size = size
        self.tags = tags
        self.isActive = isActive
        self.pool = pool
        self.origin = origin
        self.isPool = isPool
    }
}
