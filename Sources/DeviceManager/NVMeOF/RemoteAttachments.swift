import FoundationEssentials
import Host
package import Logging

/// The volumes of storage targets that are attached to this node, and the records that say so.
///
/// Owned by the node service. A record is on disk before its connection is made and until that is certainly gone, so
/// whatever was cut off anywhere is finished or taken back. Callers hold the volume's place in the `OperationGate`.
package final class RemoteAttachments: Sendable {
    /// Records of unfinished formatting are kept this long, in seconds.
    private static let leftoverAge: Double = 30 * 86400

    private let host: HostIdentity
    private let initiators: [RemoteVolume.Transport: any Initiator]
    private let records: AttachmentRecords
    /// By subsystem or target: several volumes may share one.
    private let locks = KeyedLock()
    private let logger: Logger

    /// `directory` is made if its parent exists.
    package convenience init(directory: String, host: HostIdentity, logger: Logger) throws(DeviceError) {
        let nvme = NVMeInitiator(logger: logger)
        try self.init(
            directory: directory, host: host,
            initiators: [.tcp: nvme, .rdma: nvme, .iscsi: ISCSIInitiator(logger: logger)], logger: logger)
    }

    package init(
        directory: String, host: HostIdentity, initiators: [RemoteVolume.Transport: any Initiator], logger: Logger
    ) throws(DeviceError) {
        self.host = host
        self.initiators = initiators
        self.logger = logger
        records = try AttachmentRecords(directory: directory, logger: logger)
    }

    package var all: [AttachmentRecord] { records.all }

    package func record(_ id: String) throws(DeviceError) -> AttachmentRecord? { try records.record(id) }

    /// On disk before it returns.
    package func save(_ record: AttachmentRecord) async throws(DeviceError) {
        try await blockingDevice { [records] in try records.save(record) }
    }

    private func initiator(_ transport: RemoteVolume.Transport) throws(DeviceError) -> any Initiator {
        guard let initiator = initiators[transport] else {
            throw DeviceError(.failedPrecondition, "targetType \(transport.rawValue) is not supported on this node")
        }
        return initiator
    }
}

// Attaching.
extension RemoteAttachments {
    /// Connects the volume; the last of the record's devices is its block device.
    package func attach(_ volume: RemoteVolume, stagingPath: String) async throws(DeviceError) -> AttachmentRecord {
        let initiator = try initiator(volume.transport)
        let old = try records.record(volume.id)
        if let old, old.phase != .detached, old.volume.name != volume.name {
            throw DeviceError(
                .failedPrecondition,
                "volume \(volume.id) is attached as \(old.volume.name) and now called \(volume.name); unstage it first")
        }
        var record = AttachmentRecord(volume, as: host, phase: .attaching, stagingPath: stagingPath)
        if let old {
            record.format = old.format
            // The connections of this boot carry the identity that they were made with.
            if old.phase != .detached, old.boot == record.boot {
                (record.host, record.devices) = (old.host ?? host, old.devices)
                if old.phase == .attached { record.phase = .attached }
            }
        }
        try await save(record)
        do throws(DeviceError) {
            let failures = try await locks.withLock(volume.name) { () throws(DeviceError) in
                try await initiator.connect(volume, as: record.host ?? host)
            }
            report(failures, of: volume)
            guard let path = try await device(record) else {
                throw DeviceError(.unavailable, "volume \(volume.id): its device went away while it was attached")
            }
            if record.devices.last != path {
                record.devices = record.devices.filter { $0 != path } + [path]
                try await save(record)
            }
            return record
        } catch {
            if record.phase == .attaching { try? await detach(record) }
            throw error
        }
    }

    private func report(_ failures: [String], of volume: RemoteVolume) {
        guard !failures.isEmpty else { return }
        logger.warning(
            "paths of a volume are missing",
            metadata: ["volume": "\(volume.id)", "reasons": "\(failures.joined(separator: "; "))"])
    }

    /// The path of the volume's block device now; nil while it is not connected.
    package func device(_ record: AttachmentRecord) async throws(DeviceError) -> String? {
        let initiator = try initiator(record.volume.transport)
        return try await blockingDevice(on: .remote) { try initiator.device(record.volume) }
    }

    package func rescan(_ record: AttachmentRecord) async throws(DeviceError) {
        try await initiator(record.volume.transport).rescan(record.volume)
    }

    /// Brings back paths that the kernel has given up, or that were not there when the volume was attached.
    package func restorePaths(of id: String) async throws(DeviceError) {
        guard let volume = try records.record(id)?.volume else { return }
        let initiator = try initiator(volume.transport)
        let failures = try await locks.withLock(volume.name) { () throws(DeviceError) -> [String] in
            // Whoever detaches says so in the record before waiting for the lock.
            guard let record = try records.record(id), record.phase == .attached, let host = record.host else {
                return []
            }
            return try await initiator.restore(record.volume, as: host)
        }
        if !failures.isEmpty {
            logger.debug("paths are missing", metadata: ["volume": "\(id)", "reasons": "\(failures)"])
        }
    }
}

// Detaching.
extension RemoteAttachments {
    /// Ends the connection once nothing uses the volume, and forgets the record when it is gone.
    ///
    /// Throws `inUse` while the device is open or mounted anywhere.
    package func detach(_ record: AttachmentRecord) async throws(DeviceError) {
        var record = record
        let initiator = try initiator(record.volume.transport)
        record.phase = .detaching
        try await save(record)
        let volume = record.volume
        let host = record.host
        try await locks.withLock(volume.name) { () throws(DeviceError) in
            try await checkUnused(volume, initiator)
            guard try await !isShared(volume, initiator) else {
                logger.info("the connection stays: others use it", metadata: ["volume": "\(volume.id)"])
                return
            }
            try await initiator.disconnect(volume, as: host)
        }
        try await forget(record)
    }

    /// Only this node knows that a mkfs of its own may have been cut off on the volume.
    private func forget(_ record: AttachmentRecord) async throws(DeviceError) {
        guard case .formatting = record.format else {
            return try await blockingDevice { [records] in try records.remove(record.id) }
        }
        var record = record
        record.phase = .detached
        try await save(record)
    }

    private func checkUnused(_ volume: RemoteVolume, _ initiator: any Initiator) async throws(DeviceError) {
        try await waitUntilUnused(volume.id) { () throws(DeviceError) in try await use(of: volume, initiator) }
    }

    private func use(of volume: RemoteVolume, _ initiator: any Initiator) async throws(DeviceError) -> DeviceUse {
        try await blockingDevice(on: .remote) {
            guard let path = try initiator.device(volume) else { return .unused }
            return try Self.use(of: BlockDevice(path: path))
        }
    }

    private static func use(of device: BlockDevice) throws -> DeviceUse {
        guard let number = try? device.number() else { return .unused }
        do {
            try device.checkNotInUse()
        } catch {
            // Gone meanwhile.
            guard error.code == .busy else { return .unused }
            return .mounted
        }
        if try MountTable.isMountedAnywhere(number) { return .mounted }
        return try BlockDevice.isOpen(number) ? .open : .unused
    }

    /// Another volume of ours, or a device that somebody else uses, hangs on the same connection.
    private func isShared(_ volume: RemoteVolume, _ initiator: any Initiator) async throws(DeviceError) -> Bool {
        let others = records.all.filter { $0.id != volume.id && $0.volume.name == volume.name }
        if others.contains(where: { $0.phase != .detached }) { return true }
        return try await blockingDevice(on: .remote) {
            try initiator.siblings(volume).contains { path in
                try Self.use(of: BlockDevice(path: path)) != .unused
            }
        }
    }
}

// What an earlier life left.
extension RemoteAttachments {
    /// Finishes or takes back what was cut off; the volume's next call does the same.
    package func recover(_ id: String) async throws(DeviceError) {
        guard let record = try records.record(id) else { return }
        switch record.phase {
        case .detached:
            guard record.time < Date().timeIntervalSince1970 - Self.leftoverAge else { return }
            try await blockingDevice { [records] in try records.remove(id) }
        case .attached where record.boot == AttachmentRecord.currentBoot: return
        case .attached, .attaching, .detaching:
            let initiator = try initiator(record.volume.transport)
            // Mounted after all: NodeStageVolume or NodeUnstageVolume will come again.
            guard try await use(of: record.volume, initiator) != .mounted else { return }
            try await detach(record)
            logger.info("took back an attachment that an earlier run had left", metadata: ["volume": "\(id)"])
        }
    }

    /// A volume that is connected without a record of ours, as by the driver before this one: found by its id alone, or
    /// by what `context` says of it. Nil when nothing of it is here.
    package func adopt(
        _ id: String, context: [String: String], stagingPath: String
    ) async throws(DeviceError) -> AttachmentRecord? {
        var context = context
        context["access"] = nil
        var candidates = [
            try? RemoteVolume(
                id: id, volumeContext: context, publishContext: [:], timeouts: PathTimeouts())
        ].compactMap(\.self)
        candidates += [.tcp, .iscsi].compactMap { RemoteVolume(id: id, transport: $0) }
        for volume in candidates {
            let initiator = try initiator(volume.transport)
            let isHere = try await blockingDevice(on: .remote) { try initiator.isConnected(volume, as: nil) }
            guard isHere else { continue }
            var record = AttachmentRecord(volume, as: nil, phase: .attached, stagingPath: stagingPath)
            if let path = try await device(record) { record.devices = [path] }
            return record
        }
        return nil
    }
}
