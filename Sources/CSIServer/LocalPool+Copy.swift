import DeviceManager
import FoundationEssentials
import Glibc
import Host
import Synchronization

// Copies: of a volume to a snapshot or clone, of a snapshot to a volume. The gate holds both.
extension LocalPool {
    /// The volume or snapshot that is to be copied, settled: nothing of an earlier call is left to be done on it.
    func original(_ source: VolumeRecord.Source) async throws -> VolumeRecord {
        guard snapshotting != nil else {
            throw RequestError(.invalidArgument, "volume_content_source: this driver's volumes cannot be copied")
        }
        let (kind, name): (VolumeRecord.Kind, String) =
            switch source {
            case .volume: (.volume, "volume")
            case .snapshot: (.snapshot, "snapshot")
            }
        if let id = VolumeID(source.id), try records.record(id)?.phase == .promised {
            throw RequestError(
                .failedPrecondition, "volume \(id) has no device until it is published, so it cannot be copied")
        }
        guard let id = VolumeID(source.id), var record = try records.record(id), record.kind == kind,
            record.phase == .ready
        else { throw RequestError(.notFound, "\(name) \"\(source.id)\" does not exist") }
        try checkOwn(record)
        record.location = try await location(of: record, id)
        return try await finishExpansion(record)
    }

    /// The same for CreateVolume, whose parameters must be those that cannot change between copies.
    func original(_ source: VolumeRecord.Source, for request: CreateRequest) async throws -> VolumeRecord {
        let record = try await original(source)
        let (theirs, wanted) = (record.parameters, request.parameters)
        guard theirs.mode == wanted.mode, theirs.provisioning == wanted.provisioning else {
            throw RequestError(
                .invalidArgument,
                "parameters: \(wanted.layout) does not fit \(record.title), which has \(theirs.layout); "
                    + "a copy has those of its source")
        }
        return record
    }

    /// Fills the device of `record`, which was saved, and says in it what came of that.
    func copy(_ original: VolumeRecord, to spec: VolumeSpec, _ record: inout VolumeRecord) async throws(DeviceError) {
        guard let snapshotting, let id = VolumeID(original.id), let place = original.location,
            let location = record.location
        else { throw DeviceError(.failedPrecondition, "\(original.title) cannot be copied") }
        let cut = FreezeNotice(record: record, records: records)
        let source = CopySource(
            volume: Volume(id: id, size: original.size, location: place), parameters: original.parameters,
            use: try await use(of: id, at: place, cut))
        let work = LongWork(.copy, record, total: original.size, in: self)
        defer { work.end() }
        let volume = try await snapshotting.copy(source, to: spec, at: location) { [shutdown] done in
            _ = work.update(done)
            return !shutdown.isSet
        }
        record.become(volume)
        record.created = cut.time ?? Date().timeIntervalSince1970
        // Never formatted, nothing was ever on it; otherwise what is there is there twice now.
        record.format = original.format
    }

    /// What the kernel says, in whatever mount namespace.
    private func use(
        of id: VolumeID, at location: String, _ notice: FreezeNotice
    ) async throws(DeviceError) -> CopySource.Use {
        guard let path = try await manager.device(id, location: location) else { return .none }
        return try await blockingDevice { [freezeLimit] in
            guard let number = try? BlockDevice(path: path).number() else { return .none }
            let mounts = try MountTable.mountsAnywhere(of: number)
            guard !mounts.isEmpty else { return .none }
            // A bind mount of the node itself belongs to another file system: that of /dev.
            guard mounts.allSatisfy({ $0.device == number }),
                let path = try MountTable.current().reachable(number).first
            else { return .raw }
            return .mounted(Freeze(mountPoint: path, limit: freezeLimit) { try notice.post($0) })
        }
    }

    /// Lets the writers of a copy's source go on; fine when nothing of it is frozen.
    func thawSource(of record: VolumeRecord) async throws(DeviceError) {
        guard record.isFreezing, let text = record.source?.id, let id = VolumeID(text) else { return }
        let known = (try? records.record(id))?.location
        let location = if let known { known } else { try await manager.volume(id, location: nil)?.location }
        guard let location, let path = try await manager.device(id, location: location) else { return }
        try await blockingDevice {
            // Without its node nothing of the device can be mounted.
            guard let number = try? BlockDevice(path: path).number() else { return }
            for mountPoint in try MountTable.current().reachable(number) { try Filesystem.thaw(mountPoint) }
        }
    }
}

/// Says in the record of a copy, before the file system of its source is frozen, that it may be; keeps when; and takes that
/// back where somebody else holds it.
private final class FreezeNotice: Sendable {
    private let record: VolumeRecord
    private let records: VolumeRecords
    private let posted = Mutex<Double?>(nil)

    init(record: VolumeRecord, records: VolumeRecords) {
        self.record = record
        self.records = records
    }

    /// Seconds since 1970; nil when nothing was frozen.
    var time: Double? { posted.withLock { $0 } }

    func post(_ isFreezing: Bool) throws {
        var record = record
        record.isFreezing = isFreezing
        try records.save(record)
        posted.withLock { $0 = isFreezing ? Date().timeIntervalSince1970 : nil }
    }
}

extension MountTable {
    /// Where the file system on this device is really seen: other mounts may lie on top of its own.
    fileprivate func reachable(_ device: DeviceNumber) -> [String] {
        mounts(of: device).map(\.mountPoint).filter { path in
            var status = stat()
            return stat(path, &status) == 0 && DeviceNumber(rawValue: status.st_dev) == device
        }
    }
}

extension VolumeParameters {
    /// What a copy has in common with its source.
    fileprivate var layout: String {
        (mode.map { "nsmode \($0.rawValue), " } ?? "") + "provisioning \(provisioning.rawValue)"
    }
}
