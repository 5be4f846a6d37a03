package import Logging
import Synchronization

/// The device manager of this driver, and those that earlier drivers had whose volumes its records still tell of.
///
/// Theirs can be looked at, taken down and deleted, each through the manager that made it; nothing else is done to them.
package final class MixedDeviceManager: DeviceManager {
    package let primary: any DeviceManager
    private let kind: ManagerKind
    private let others: [ManagerKind: any DeviceManager]
    /// Those of the others whose `start` has not succeeded yet.
    private let waiting: Mutex<Set<ManagerKind>>
    private let logger: Logger

    package init(
        _ kind: ManagerKind, _ primary: any DeviceManager, others: [ManagerKind: any DeviceManager], logger: Logger
    ) {
        self.kind = kind
        self.primary = primary
        self.others = others
        self.logger = logger
        waiting = Mutex(Set(others.keys))
    }

    package var defaultParameters: VolumeParameters { primary.defaultParameters }

    /// Trouble with the others keeps nobody from this driver's own volumes.
    package func start() async throws(DeviceError) {
        try await primary.start()
        for kind in others.keys {
            do throws(DeviceError) {
                _ = try await started(kind)
            } catch {
                logger.error(
                    "volumes of another device manager cannot be reached",
                    metadata: ["deviceManager": "\(kind.rawValue)", "error": "\(error)"])
            }
        }
    }

    /// Throws `failedPrecondition` for a volume of another manager.
    package func checkOwn(_ id: String, location: String?) throws(DeviceError) {
        guard let location, let other = ManagerKind(location: location), other != kind else { return }
        throw DeviceError(
            .failedPrecondition,
            "volume \(id) was made with -deviceManager=\(other.rawValue), and this driver has \(kind.rawValue): it can be "
                + "unpublished and deleted; for anything else start the driver with -deviceManager=\(other.rawValue)")
    }

    private func manager(of id: VolumeID, _ location: String) async throws(DeviceError) -> any DeviceManager {
        guard let owner = ManagerKind(location: location) else {
            throw DeviceError(
                .failedPrecondition,
                "volume \(id): its record says that it is in \"\(location)\", which is a place of no device manager")
        }
        return owner == kind ? primary : try await started(owner)
    }

    private func started(_ kind: ManagerKind) async throws(DeviceError) -> any DeviceManager {
        guard let manager = others[kind] else {
            throw DeviceError(.unavailable, "start the driver with -deviceManager=\(kind.rawValue) for volumes of that")
        }
        if waiting.withLock({ $0.contains(kind) }) {
            try await manager.start()
            _ = waiting.withLock { $0.remove(kind) }
        }
        return manager
    }
}

// New volumes are the primary manager's.
extension MixedDeviceManager {
    package func capacity(for parameters: VolumeParameters) async throws(DeviceError) -> Capacity {
        try await primary.capacity(for: parameters)
    }

    package func place(_ spec: VolumeSpec) async throws(DeviceError) -> String { try await primary.place(spec) }

    package func promise(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        try checkOwn(spec.id.rawValue, location: location)
        return try await primary.promise(spec, at: location)
    }

    package func release(_ id: VolumeID) async { await primary.release(id) }

    package func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        try await primary.create(spec, at: location)
    }

    package func volumes() async throws(DeviceError) -> [Volume] { try await primary.volumes() }

    package func attach(_ id: VolumeID, location: String) async throws(DeviceError) -> String {
        try checkOwn(id.rawValue, location: location)
        return try await primary.attach(id, location: location)
    }
}

extension MixedDeviceManager {
    /// Without a location, the record is pmem-csi's, which had several managers too.
    package func volume(_ id: VolumeID, location: String?) async throws(DeviceError) -> Volume? {
        if let location { return try await manager(of: id, location).volume(id, location: location) }
        if let volume = try await primary.volume(id, location: nil) { return volume }
        for kind in others.keys {
            if let volume = try await started(kind).volume(id, location: nil) { return volume }
        }
        return nil
    }

    package func discard(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await manager(of: id, location).discard(id, location: location, erasure: erasure)
    }

    package func checkUnused(_ id: VolumeID, location: String) async throws(DeviceError) {
        try await manager(of: id, location).checkUnused(id, location: location)
    }

    package func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await manager(of: id, location).delete(id, location: location, erasure: erasure)
    }

    package func detach(_ id: VolumeID, location: String) async throws(DeviceError) {
        try await manager(of: id, location).detach(id, location: location)
    }

    package func device(_ id: VolumeID, location: String) async throws(DeviceError) -> String? {
        try await manager(of: id, location).device(id, location: location)
    }

    package func update(_ id: VolumeID, location: String, parameters: VolumeParameters) async throws(DeviceError) {
        try await manager(of: id, location).update(id, location: location, parameters: parameters)
    }
}
