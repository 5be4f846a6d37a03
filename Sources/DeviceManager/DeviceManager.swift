/// The storage seam: what a volume is made of (a logical volume, a namespace, a file) differs behind it, nothing else.
///
/// Every call may come twice and may have been cut off anywhere before; none keeps anything that the backend does not.
/// Callers hold the volume's place in the `OperationGate`.
package protocol DeviceManager: Sendable {
    /// What a volume has where its StorageClass says nothing.
    nonisolated var defaultParameters: VolumeParameters { get }

    /// Looks at the backend and makes its volumes usable; called until it succeeds, before anything else.
    func start() async throws(DeviceError)

    /// Room for volumes with these parameters.
    func capacity(for parameters: VolumeParameters) async throws(DeviceError) -> Capacity

    /// Where a volume would be made now; the caller records it before `create`.
    ///
    /// Throws `notEnoughSpace`, `outOfRange`.
    func place(_ spec: VolumeSpec) async throws(DeviceError) -> String

    /// Sets the room for a volume aside at `location` until it is created or released, and says what it will be; twice
    /// is as once. The promise is memory: the caller records it, and makes it again after a start.
    ///
    /// Throws `notEnoughSpace`, `outOfRange`.
    func promise(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume

    /// Takes such a promise back.
    func release(_ id: VolumeID) async

    /// Makes a volume at `location` whose first and last MiB read as zeroes.
    ///
    /// Throws `alreadyExists` when the backend has the id already, `notEnoughSpace` when others were faster.
    /// After any error no device is left, or the error says that one could not be removed.
    func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume

    /// Takes back what a creation left that was never answered; never anything that our creations did not make.
    ///
    /// With an erasure it may have been a copy, of which nothing may show up in the next volume there. Throws as `delete`
    /// does.
    func discard(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError)

    /// Throws `inUse` while the volume is open or mounted anywhere; it may throw `unavailable` where that cannot be known.
    func checkUnused(_ id: VolumeID, location: String) async throws(DeviceError)

    /// Removes a volume, overwriting it first if an erasure is given; a volume that is gone already is fine.
    ///
    /// Throws `inUse` (and harms nothing) while it is open or mounted anywhere, `unavailable` while `location` is
    /// not there, `aborted` when the erasure was told to stop.
    func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError)

    /// The volume at `location`, or wherever it is when nil; nil when the backend has none of that id.
    ///
    /// Throws `failedPrecondition` when there are several.
    func volume(_ id: VolumeID, location: String?) async throws(DeviceError) -> Volume?

    /// Every volume of this driver, whether anybody has a record of it or not.
    func volumes() async throws(DeviceError) -> [Volume]

    /// Makes the volume's block device usable and returns its path.
    func attach(_ id: VolumeID, location: String) async throws(DeviceError) -> String

    /// Takes back what `attach` did once nothing uses the device any more; nothing attached is fine.
    func detach(_ id: VolumeID, location: String) async throws(DeviceError)

    /// The path of the volume's block device as it is attached now; nil when it is not.
    func device(_ id: VolumeID, location: String) async throws(DeviceError) -> String?

    /// Tells the backend, where it keeps a copy of them, parameters that were changed.
    func update(_ id: VolumeID, location: String, parameters: VolumeParameters) async throws(DeviceError)
}

/// A device manager whose volumes can grow, while they are in use too.
package protocol Expanding: DeviceManager {
    /// Grows a volume, and its device where it is attached, to the smallest size in the range; one that is large enough
    /// already stays as it is.
    ///
    /// `oldSize` is what it had before the first attempt. The last MiB of what was added reads as zeroes afterwards,
    /// unless `isRaw`: its user may be writing there already. Throws `notEnoughSpace`, `outOfRange`.
    func expand(
        _ id: VolumeID, location: String, to size: SizeRange, from oldSize: UInt64, isRaw: Bool
    ) async throws(DeviceError) -> Volume
}

/// A device manager that makes devices with the content of others: snapshots, restores and clones.
package protocol Snapshotting: DeviceManager {
    /// `create`, with the content that `source` has at one moment; neither depends on the other afterwards.
    ///
    /// Throws `failedPrecondition` (and harms nothing) when the source is in use in a way that does not allow it.
    /// `progress` gets the bytes copied so far and answers whether to go on; `aborted` when not: the driver is stopping, and
    /// what was copied is there until `discard`.
    func copy(
        _ source: CopySource, to spec: VolumeSpec, at location: String, progress: @escaping @Sendable (UInt64) -> Bool
    ) async throws(DeviceError) -> Volume
}

/// What is copied, and how it is used at the moment; its place in the `OperationGate` is held too.
package struct CopySource: Sendable {
    package enum Use: Sendable {
        case none
        /// Its file system is mounted, and can be held still.
        case mounted(Freeze)
        /// Its user writes to the raw device, which cannot be held still.
        case raw
    }

    package let volume: Volume
    package let parameters: VolumeParameters
    package let use: Use

    package init(volume: Volume, parameters: VolumeParameters, use: Use) {
        self.volume = volume
        self.parameters = parameters
        self.use = use
    }
}

/// An overwriting that may be interrupted and resumed.
///
/// The record of the volume keeps how far it came; `progress` stores that and answers whether to go on.
package struct Erasure: Sendable {
    /// Bytes from the start of the volume that an earlier call has overwritten.
    package let start: UInt64
    /// Called after each piece with the bytes overwritten so far; false stops the erasure.
    package let progress: @Sendable (UInt64) -> Bool

    package init(start: UInt64, progress: @escaping @Sendable (UInt64) -> Bool) {
        self.start = start
        self.progress = progress
    }
}
