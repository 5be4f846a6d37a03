import DeviceManager
import Host

/// NodeStageVolume for one volume: attach, make the file system when that is safe, mount.
struct Staging {
    let pool: LocalPool
    let record: VolumeRecord

    func stage(at path: String, _ capability: VolumeCapability) async throws {
        guard case .mount(let filesystem, let flags) = capability.access, let id = VolumeID(record.id),
            let location = record.location
        else { throw RequestError(.failedPrecondition, "volume \(record.id) has no device") }
        let type = try FilesystemType(name: filesystem)
        let device = BlockDevice(path: try await pool.manager.attach(id, location: location))
        guard let volume = try await VolumeDevice(of: record, in: pool.manager) else { return }
        let options = flags + daxOption(flags)
        let isDone = try await blockingDevice {
            try Self.isMounted(volume, at: path, type: type, options: options)
        }
        guard !isDone else { return }
        try await format(device, as: type)
        try await blockingDevice {
            do throws(HostError) {
                try Mounter.mount(device: device.path, at: path, type: type, options: options, readOnly: false)
            } catch {
                // Without flags of the caller's it is the volume that the kernel finds invalid, not the request.
                guard error.code == .invalidArgument, flags.isEmpty else { throw error }
                throw DeviceError(.failedPrecondition, "volume \(volume.id): \(error.message)", cause: error)
            }
        }
    }

    /// DAX for byte-addressed volumes unless the request says something about it itself.
    private func daxOption(_ flags: [String]) -> [String] {
        let words = flags.flatMap { $0.split(separator: ",") }
        let isAsked = words.contains { $0 == "dax" || $0.hasPrefix("dax=") }
        return record.parameters.hasDAX && !isAsked ? ["dax"] : []
    }

    /// Whether the volume is mounted there as asked; anything else there is refused.
    private static func isMounted(
        _ volume: VolumeDevice, at path: String, type: FilesystemType, options: [String]
    ) throws -> Bool {
        guard let mount = try MountTable.current().at(path) else { return false }
        // A file system's own root may be the staging path's parent; only what is mounted at the path itself counts.
        guard volume.isMounted(as: mount) else {
            throw DeviceError(
                .failedPrecondition,
                "staging_target_path \(path): \(mount.source) is mounted there, not volume \(volume.id)")
        }
        guard mount.type == type.rawValue, mount.isCompatible(readOnly: false, options: options) else {
            throw DeviceError(
                .alreadyExists, "volume \(volume.id) is staged at \(path) in another way; unstage it first")
        }
        return true
    }
}

// mkfs needs proof that nothing is lost: the record says what was done before, the device what is there now.
extension Staging {
    private func format(_ device: BlockDevice, as type: FilesystemType) async throws {
        let found = try await blockingDevice { try Filesystem.probe(device) }
        switch (record.format, found) {
        case (.never, .nothing): break
        // mkfs was cut off: what it left, or nothing, is ours to overwrite.
        case (.formatting, .nothing), (.formatting, .ambiguous): break
        case (.formatting(let begun), .filesystem(let left)) where begun == left: break
        case (.unknown, .nothing):
            guard try await blockingDevice({ try device.endsAreZero() }) else { throw refusal(found) }
        case (.unknown, .filesystem(type.rawValue)): return try await save(.formatted(type.rawValue))
        case (.formatted(type.rawValue), .filesystem(type.rawValue)): return
        case (.formatted(let known), .filesystem(let present)) where known == present:
            throw RequestError(
                .failedPrecondition, "volume \(record.id) has \(known), not \(type.rawValue); ask for \(known)")
        default: throw refusal(found)
        }
        try await save(.formatting(type.rawValue))
        try await Filesystem.make(type, on: device)
        try await save(.formatted(type.rawValue))
    }

    private func refusal(_ found: Signature) -> RequestError {
        RequestError(
            .failedPrecondition,
            "volume \(record.id): the record says format \(record.format), the device shows \(found); "
                + "nothing is formatted, look at the device before you go on")
    }

    private func save(_ format: VolumeRecord.Format) async throws {
        var record = record
        record.format = format
        try await pool.save(record)
    }
}
