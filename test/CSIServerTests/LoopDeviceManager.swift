import CSIProto
import DeviceManager
import GRPCCore
import Host
import Logging
import TestSupport

/// A device manager whose volumes are loop devices, for what a real kernel must say; a test owns it.
///
/// The volume's location is its device's path. A loop device goes when the manager does, or with `delete`.
actor LoopDeviceManager: DeviceManager {
    private var devices: [VolumeID: LoopDevice] = [:]
    private var sizes: [VolumeID: UInt64] = [:]

    func start() {}

    func capacity(for parameters: VolumeParameters) -> Capacity {
        var capacity = Capacity()
        capacity.available = 1 << 30
        return capacity
    }

    func place(_ spec: VolumeSpec) -> String { "" }

    func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        let size = try spec.size.size(multipleOf: InMemoryDeviceManager.unit)
        do {
            let device = try LoopDevice(size: size)
            devices[spec.id] = device
            sizes[spec.id] = size
            return Volume(id: spec.id, size: size, location: device.path)
        } catch {
            throw DeviceError(.failed, "loop device", cause: error)
        }
    }

    func discard(_ id: VolumeID, location: String) async throws(DeviceError) {
        try await delete(id, location: location, erasure: nil)
    }

    func checkUnused(_ id: VolumeID, location: String) {}

    func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        guard let path = devices[id]?.path else { return }
        try await blockingDevice {
            if try MountTable.isMountedAnywhere(BlockDevice(path: path).number()) {
                throw DeviceError(.inUse, "volume \(id) is mounted")
            }
            guard let erasure else { return }
            guard try BlockDevice(path: path).erase(from: erasure.start, progress: erasure.progress) else {
                throw DeviceError(.aborted, "volume \(id): the driver is stopping")
            }
        }
        devices[id] = nil
    }

    func volume(_ id: VolumeID, location: String?) -> Volume? {
        guard let device = devices[id], let size = sizes[id] else { return nil }
        return Volume(id: id, size: size, location: device.path)
    }

    func volumes() -> [Volume] { devices.keys.sorted().compactMap { volume($0, location: nil) } }

    func attach(_ id: VolumeID, location: String) throws(DeviceError) -> String {
        guard devices[id] != nil else { throw DeviceError(.notFound, "volume \(id) has no device") }
        return location
    }

    func detach(_ id: VolumeID, location: String) {}

    func device(_ id: VolumeID, location: String) -> String? { location }

    func update(_ id: VolumeID, location: String, parameters: VolumeParameters) {}

    nonisolated var defaultParameters: VolumeParameters { VolumeParameters() }
}

/// A volume of 16 MiB on a real device, and places to mount it.
struct RealVolume: Sendable {
    let driver: Driver
    let id: String
    let device: String
    /// Exists, as the container orchestrator makes it.
    let staging: String
    /// Its parent exists; the driver makes it.
    let target: String

    func stage(_ capability: Csi_V1_VolumeCapability = .mount()) async throws {
        try await driver.stage(id, at: staging, capability)
    }

    func unstage() async throws { try await whileBusy { try await driver.unstage(id, at: staging) } }

    func publish(
        at other: String? = nil, readOnly: Bool = false, _ capability: Csi_V1_VolumeCapability = .mount()
    ) async throws {
        try await driver.publish(id, from: staging, at: other ?? target, readOnly: readOnly, capability)
    }

    func unpublish(at other: String? = nil) async throws {
        try await whileBusy { try await driver.unpublish(id, at: other ?? target) }
    }

    /// As kubelet does. A program that another test just forked holds the files of this one until it has begun.
    private func whileBusy(_ call: () async throws -> Void) async throws {
        while true {
            do {
                return try await call()
            } catch let error as RPCError where error.message.contains("something still uses it") {
                try Task.checkCancellation()
                await Task.yield()
            }
        }
    }

    /// Where the device is mounted, in order.
    func mountPoints() throws -> [String] {
        let number = try BlockDevice(path: device).number()
        return try MountTable.current().mounts(of: number).map(\.mountPoint).sorted()
    }

    var format: VolumeRecord.Format? { driver.records.all.first { $0.id == id }?.format }

    func set(_ format: VolumeRecord.Format) throws {
        guard var record = driver.records.all.first(where: { $0.id == id }) else { return }
        record.format = format
        try driver.records.save(record)
    }
}

/// Makes a volume in a driver of its own; without DAX, which loop devices have not.
@discardableResult
func withRealVolume<R: Sendable>(
    logger: Logger = quiet, _ body: (RealVolume, String) async throws -> R
) async throws -> R {
    try await withDirectory { directory in
        try await withDriver(LoopDeviceManager(), in: directory, logger: logger) { driver in
            let id = try await driver.create(
                .volume("pvc-real", size: 16 * mib).with { $0.parameters = ["nsmode": "sector"] }
            ).volumeID
            let device = driver.records.all.first?.location ?? ""
            let staging = try makeDirectory("\(directory)/staging")
            return try await body(
                RealVolume(
                    driver: driver, id: id, device: device, staging: staging, target: "\(directory)/target"), directory)
        }
    }
}
