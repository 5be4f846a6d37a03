package import DeviceManager

/// A device manager whose volumes are entries of a dictionary, for what needs no device; a test owns it, and keeps it
/// over "restarts" of the driver as a machine keeps its groups.
///
/// It promises what `DeviceManager` does, except where the test asks for a failure or a pause at a named point.
package actor InMemoryDeviceManager: DeviceManager {
    package enum Point: Sendable, Hashable {
        case start, capacity, volume, volumes, attach, unused
        /// Before the device exists, and after.
        case create, created
        /// Before anything is done, after each erased piece, after all of them, and when the device is gone.
        case delete, erasing, erased, deleted
    }

    package static let unit: UInt64 = 4 << 20

    private let size: UInt64
    private let location: String
    private var devices: [VolumeID: Volume] = [:]
    private var failures: [Point: [DeviceError]] = [:]
    private var pauses: [Point: Pause] = [:]
    /// How often each point was passed.
    package private(set) var passed: [Point: Int] = [:]
    /// Where each erasure began.
    package private(set) var erasures: [UInt64] = []

    package init(size: UInt64 = 1 << 30, location: String = "ndbus0region0fsdax") {
        self.size = size
        self.location = location
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
        devices[id] = Volume(id: id, size: size, location: location)
    }

    package var ids: Set<VolumeID> { Set(devices.keys) }

    private var free: UInt64 { devices.values.reduce(size) { $0 - min($0, $1.size) } }

    private func pass(_ point: Point) async throws(DeviceError) {
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
        guard devices[spec.id] == nil else { throw DeviceError(.alreadyExists, "volume \(spec.id) exists") }
        let size = try spec.size.size(multipleOf: Self.unit)
        let volume = Volume(id: spec.id, size: size, location: location)
        devices[spec.id] = volume
        try await pass(.created)
        return volume
    }

    package func discard(_ id: VolumeID, location: String) async throws(DeviceError) {
        try await delete(id, location: location, erasure: nil)
    }

    package func checkUnused(_ id: VolumeID, location: String) async throws(DeviceError) { try await pass(.unused) }

    package func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await pass(.delete)
        guard let volume = devices[id] else { return }
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
        return devices[id]
    }

    package func volumes() async throws(DeviceError) -> [Volume] {
        try await pass(.volumes)
        return devices.values.sorted { $0.id < $1.id }
    }

    package func attach(_ id: VolumeID, location: String) async throws(DeviceError) -> String {
        try await pass(.attach)
        return "/nonexistent/\(location)/\(id)"
    }

    package func detach(_ id: VolumeID, location: String) {}

    package func device(_ id: VolumeID, location: String) -> String? { "/nonexistent/\(location)/\(id)" }

    package func update(_ id: VolumeID, location: String, parameters: VolumeParameters) {}

    package nonisolated var defaultParameters: VolumeParameters { VolumeParameters() }
}
