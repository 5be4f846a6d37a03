import CSIProto
import DeviceManager
import GRPCCore
import Glibc
import Host
import Logging
import SwiftProtobuf
import TestSupport

@testable import CSIServer

/// A volume on a real device, and places to mount it.
struct RealVolume: Sendable {
    let driver: Driver
    let id: String
    /// Exists, as the container orchestrator makes it.
    let staging: String
    /// Its parent exists; the driver makes it.
    let target: String

    /// Where the node of a staged raw block volume is bound.
    var node: String { "\(staging)/\(id)" }

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

    func stats(at path: String, staging: String = "") async throws -> [Csi_V1_VolumeUsage] {
        try await driver.stats(id, at: path, staging: staging)
    }

    func expand(to size: Int64) async throws {
        _ = try await driver.controller.controllerExpandVolume(
            .with {
                $0.volumeID = id
                $0.capacityRange.requiredBytes = size
            })
    }

    func expandNode(
        at path: String, to size: Int64, limit: Int64 = 0, _ capability: Csi_V1_VolumeCapability? = nil
    ) async throws -> Int64 {
        try await driver.node.nodeExpandVolume(
            .with {
                $0.volumeID = id
                $0.volumePath = path
                $0.capacityRange.requiredBytes = size
                $0.capacityRange.limitBytes = limit
                if let capability { $0.volumeCapability = capability }
            }
        ).capacityBytes
    }
}

// What the kernel and the record say.
extension RealVolume {
    /// Attaches the device, as NodeStageVolume does, and answers its path.
    @discardableResult
    func attach() async throws -> String {
        guard let id = VolumeID(id), let location = record?.location else {
            throw HostError(.notFound, "volume \(id) has no record")
        }
        return try await driver.pool.manager.attach(id, location: location)
    }

    /// The device's path; nil while it is not attached.
    func device() async throws -> String? {
        guard let id = VolumeID(id), let location = record?.location else { return nil }
        return try await driver.pool.manager.device(id, location: location)
    }

    /// Where the device is mounted, in order.
    func mountPoints() async throws -> [String] {
        guard let path = try await device() else { return [] }
        return try MountTable.current().mounts(of: BlockDevice(path: path).number()).map(\.mountPoint).sorted()
    }

    /// Where the device's node is bound, in order.
    func nodes() async throws -> [String] {
        guard let path = try await device() else { return [] }
        return try MountTable.current().nodes(of: BlockDevice(path: path).number()).map(\.mountPoint).sorted()
    }

    var record: VolumeRecord? { driver.records.all.first { $0.id == id } }

    var format: VolumeRecord.Format? { record?.format }

    func set(_ format: VolumeRecord.Format) throws { try change { $0.format = format } }

    func change(_ body: (inout VolumeRecord) -> Void) throws {
        guard var record else { return }
        body(&record)
        try driver.records.save(record)
    }
}

/// A driver whose volumes are files and loop devices. Whatever the body leaves mounted or attached goes with it.
@discardableResult
func withRealDriver<R: Sendable>(
    logger: Logger = quiet, _ body: (Driver, String) async throws -> R
) async throws -> R {
    try await withDirectory { directory in
        defer { detachAll(below: directory) }
        let manager = FileDeviceManager(directory: "\(directory)/state", capacity: nil, logger: logger)
        return try await withDriver(manager, in: directory, logger: logger) { try await body($0, directory) }
    }
}

func detachAll(below directory: String) {
    let table = try? MountTable.current()
    for mount in table?.mounts.reversed() ?? [] where mount.mountPoint.hasPrefix(directory + "/") {
        umount2(mount.mountPoint, Int32(MNT_DETACH))
    }
    for listed in (try? attached(below: directory)) ?? [] {
        guard let identity = try? listed.identity() else { continue }
        // Otherwise the next file at this loop device would be read-only too.
        try? BlockDevice(path: listed.path).setReadOnly(false)
        _ = try? listed.release(identity, whenClosed: true)
    }
}

/// The loop devices that show files of this directory.
func attached(below directory: String) throws -> [LoopAttachment] {
    try LoopAttachment.all().filter { $0.file.hasPrefix(directory + "/") }.map(\.loop)
}

/// The kernel detaches with the last descriptor, of which a program just forked may have a copy.
func waitUntilDetached(below directory: String) async throws {
    while try !attached(below: directory).isEmpty {
        try Task.checkCancellation()
        await Task.yield()
    }
}

/// Makes a volume in a driver of its own.
@discardableResult
func withRealVolume<R: Sendable>(
    size: Int64 = 16 * mib, logger: Logger = quiet, _ body: (RealVolume, String) async throws -> R
) async throws -> R {
    try await withRealDriver(logger: logger) { driver, directory in
        let id = try await driver.create(.real("pvc-real", size: size)).volumeID
        let staging = try makeDirectory("\(directory)/staging")
        return try await body(
            RealVolume(driver: driver, id: id, staging: staging, target: "\(directory)/target"), directory)
    }
}

extension Csi_V1_CreateVolumeRequest {
    static func real(_ name: String, size: Int64) -> Self {
        .volume(name, size: size).with { $0.parameters = ["provisioning": "thin"] }
    }
}

extension Driver {
    func stats(_ id: String, at path: String, staging: String = "") async throws -> [Csi_V1_VolumeUsage] {
        try await node.nodeGetVolumeStats(
            .with {
                $0.volumeID = id
                $0.volumePath = path
                $0.stagingTargetPath = staging
            }
        ).usage
    }
}

/// As kubelet does. A program that another test just forked holds the files of this one until it has begun.
func whileBusy(_ call: () async throws -> Void) async throws {
    while true {
        do {
            return try await call()
        } catch let error as RPCError where error.message.contains("something still uses it") {
            try Task.checkCancellation()
            await Task.yield()
        }
    }
}

/// What lies in a directory.
func content(of directory: String) throws -> [String] {
    guard let stream = opendir(directory) else { throw SystemFailure("opendir \(directory)") }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}
