import DeviceManager
import TestSupport

/// A device manager that can neither grow nor copy volumes; all else is that of the one in memory.
struct PlainDeviceManager: DeviceManager {
    let base = InMemoryDeviceManager()

    var defaultParameters: VolumeParameters { base.defaultParameters }

    func start() async throws(DeviceError) { try await base.start() }

    func capacity(for parameters: VolumeParameters) async throws(DeviceError) -> Capacity {
        try await base.capacity(for: parameters)
    }

    func promise(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        try await base.promise(spec, at: location)
    }

    func release(_ id: VolumeID) async { await base.release(id) }

    func place(_ spec: VolumeSpec) async throws(DeviceError) -> String { try await base.place(spec) }

    func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        try await base.create(spec, at: location)
    }

    func discard(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await base.discard(id, location: location, erasure: erasure)
    }

    func checkUnused(_ id: VolumeID, location: String) async throws(DeviceError) {
        try await base.checkUnused(id, location: location)
    }

    func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await base.delete(id, location: location, erasure: erasure)
    }

    func volume(_ id: VolumeID, location: String?) async throws(DeviceError) -> Volume? {
        try await base.volume(id, location: location)
    }

    func volumes() async throws(DeviceError) -> [Volume] { try await base.volumes() }

    func attach(_ id: VolumeID, location: String) async throws(DeviceError) -> String {
        try await base.attach(id, location: location)
    }

    func detach(_ id: VolumeID, location: String) async { await base.detach(id, location: location) }

    func device(_ id: VolumeID, location: String) async -> String? { await base.device(id, location: location) }

    func update(_ id: VolumeID, location: String, parameters: VolumeParameters) async throws(DeviceError) {
        try await base.update(id, location: location, parameters: parameters)
    }
}
