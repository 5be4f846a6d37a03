package import DeviceManager

/// A device manager whose volumes are entries of a dictionary, for what needs no device; a test owns it, and keeps it
/// over "restarts" of the driver as a machine keeps its groups.
///
/// It promises what `DeviceManager`, `Expanding` and `Snapshotting` do, except where the test asks for a failure or a
/// pause at a named point.
package actor InMemoryDeviceManager: DeviceManager {
    package enum Point: Sendable, Hashable, CaseIterable {
        case start, capacity, volume, volumes, attach, unused
        /// Before the device exists, and after.
        case create, created
        /// Before anything is done, after each erased piece, after all of them, and when the device is gone.
        case delete, erasing, erased, deleted
        /// Before the device exists, when it does, after each copied piece, and after all of them.
        case copy, allocated, copying, copied
        /// Before the device grows, when it has grown but what was added is not zeroed, and afterwards.
        case expand, grown, expanded
        /// Before the backend's copy of the parameters changes, and after.
        case update, updated
    }

    struct Device: Sendable {
        var volume: Volume
        var parameters: VolumeParameters?
        var content = ""
        /// Whether the end holds what somebody else left there.
        var isStale = false
    }

    package static let unit: UInt64 = 4 << 20

    let size: UInt64
    let location: String
    var devices: [VolumeID: Device] = [:]
    private var promises: [VolumeID: UInt64] = [:]
    private var paths: [VolumeID: String] = [:]
    private var failures: [Point: [DeviceError]] = [:]
    private var pauses: [Point: Pause] = [:]
    /// How often each point was passed.
    package private(set) var passed: [Point: Int] = [:]
    /// Where each erasure began.
    package private(set) var erasures: [UInt64] = []
    /// The last copy's use of its source.
    package internal(set) var use: CopySource.Use?
    /// Whether the last expansion was told to leave the end as it is.
    package internal(set) var wasRaw: Bool?
    /// Runs while a source is frozen.
    var whileFrozen: (@Sendable () throws -> Void)?
    package nonisolated let defaultParameters: VolumeParameters

    package init(
        size: UInt64 = 1 << 30, location: String = "ndbus0region0fsdax",
        defaults: VolumeParameters = VolumeParameters()
    ) {
        self.size = size
        self.location = location
        defaultParameters = defaults
    }

    /// What is left of the devices when the driver is killed now.
    package func afterCrash() -> InMemoryDeviceManager {
        InMemoryDeviceManager(size: size, location: location, devices: devices, paths: paths)
    }

    private init(size: UInt64, location: String, devices: [VolumeID: Device], paths: [VolumeID: String]) {
        self.size = size
        self.location = location
        self.devices = devices
        self.paths = paths
        defaultParameters = VolumeParameters()
    }

    /// The next passes of the point throw these, one each.
    package func fail(at point: Point, _ errors: DeviceError...) { failures[point, default: []] += errors }

    /// The next pass of the point waits.
    package func pause(at point: Point) -> Pause {
        let pause = Pause()
        pauses[point] = pause
        return pause
    }

    /// A device that no call of the test's driver made.
    package func add(_ id: VolumeID, size: UInt64 = unit) {
        devices[id] = Device(volume: Volume(id: id, size: size, location: location))
    }

    /// What somebody wrote to the volume; nil when it does not exist.
    package func content(_ id: VolumeID) -> String? { devices[id]?.content }
    package func write(_ content: String, to id: VolumeID) { devices[id]?.content = content }

    package func size(_ id: VolumeID) -> UInt64? { devices[id]?.volume.size }
    package func parameters(_ id: VolumeID) -> VolumeParameters? { devices[id]?.parameters }
    package var stale: Set<VolumeID> { Set(devices.filter(\.value.isStale).keys) }

    /// A real device that this volume stands for.
    package func setPath(_ path: String, of id: VolumeID) { paths[id] = path }
    package func setWhileFrozen(_ body: @escaping @Sendable () throws -> Void) { whileFrozen = body }

    package var ids: Set<VolumeID> { Set(devices.keys) }

    var free: UInt64 {
        (devices.values.map(\.volume.size) + promises.values).reduce(size) { $0 - min($0, $1) }
    }

    package func promise(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        promises[spec.id] = nil
        _ = try await place(spec)
        let size = try spec.size.size(multipleOf: Self.unit)
        promises[spec.id] = size
        return Volume(id: spec.id, size: size, location: location)
    }

    package func release(_ id: VolumeID) { promises[id] = nil }

    func pass(_ point: Point) async throws(DeviceError) {
        passed[point, default: 0] += 1
        await pauses.removeValue(forKey: point)?.pass()
        guard let error = failures[point]?.first else { return }
        failures[point]?.removeFirst()
        throw error
    }
}

extension InMemoryDeviceManager {
    package func start() async throws(DeviceError) { try await pass(.start) }

    package func capacity(for parameters: VolumeParameters) async throws(DeviceError) -> Capacity {
        try await pass(.capacity)
        var capacity = Capacity()
        capacity.available = free
        capacity.maximumVolumeSize = free
        capacity.minimumVolumeSize = Self.unit
        capacity.total = size
        return capacity
    }

    package func place(_ spec: VolumeSpec) async throws(DeviceError) -> String {
        let size = try spec.size.size(multipleOf: Self.unit)
        guard size <= free else {
            throw DeviceError(.notEnoughSpace, "volume \(spec.id): \(size) bytes asked for, \(free) free")
        }
        return location
    }

    package func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        try await pass(.create)
        promises[spec.id] = nil
        let volume = try allocate(spec, at: location)
        try await pass(.created)
        return volume
    }

    func allocate(_ spec: VolumeSpec, at location: String) throws(DeviceError) -> Volume {
        guard devices[spec.id] == nil else { throw DeviceError(.alreadyExists, "volume \(spec.id) exists") }
        let size = try spec.size.size(multipleOf: Self.unit)
        let volume = Volume(id: spec.id, size: size, location: location)
        devices[spec.id] = Device(volume: volume, parameters: spec.parameters)
        return volume
    }

    package func discard(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await delete(id, location: location, erasure: erasure)
    }

    package func checkUnused(_ id: VolumeID, location: String) async throws(DeviceError) { try await pass(.unused) }

    package func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await pass(.delete)
        guard let volume = devices[id]?.volume else { return }
        if let erasure {
            try await erase(volume, erasure)
            try await pass(.erased)
        }
        devices[id] = nil
        try await pass(.deleted)
    }

    private func erase(_ volume: Volume, _ erasure: Erasure) async throws(DeviceError) {
        erasures.append(erasure.start)
        var position = erasure.start
        while position < volume.size {
            position = min(position + Self.unit, volume.size)
            try await pass(.erasing)
            guard erasure.progress(position) || position == volume.size else {
                throw DeviceError(.aborted, "volume \(volume.id): the driver is stopping")
            }
        }
    }

    package func volume(_ id: VolumeID, location: String?) async throws(DeviceError) -> Volume? {
        try await pass(.volume)
        return devices[id]?.volume
    }

    package func volumes() async throws(DeviceError) -> [Volume] {
        try await pass(.volumes)
        return devices.values.map(\.volume).sorted { $0.id < $1.id }
    }

    package func attach(_ id: VolumeID, location: String) async throws(DeviceError) -> String {
        try await pass(.attach)
        return paths[id] ?? "/nonexistent/\(location)/\(id)"
    }

    package func detach(_ id: VolumeID, location: String) {}

    package func device(_ id: VolumeID, location: String) -> String? { paths[id] }

    package func update(
        _ id: VolumeID, location: String, parameters: VolumeParameters
    ) async throws(DeviceError) {
        try await pass(.update)
        devices[id]?.parameters = parameters
        try await pass(.updated)
    }
}
