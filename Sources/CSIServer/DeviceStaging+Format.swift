import DeviceManager
import Host

// mkfs needs proof that nothing is lost: the record says what was done before, the device what is there now.
extension DeviceStaging {
    /// Makes the file system unless it is there.
    func prepare(_ type: FilesystemType) async throws {
        let found = try await blocking { [device] in try Filesystem.probe(device) }
        switch (format, found) {
        case (.never, .nothing): break
        // mkfs was cut off: what it left, or nothing, is ours to overwrite.
        case (.formatting, .nothing), (.formatting, .ambiguous): break
        case (.formatting(let begun), .filesystem(let left)) where begun == left:
            // Unless somebody has used it since: another node, or this one before its record was written.
            guard let known = try? FilesystemType(name: left),
                try await blocking({ [device] in try !Filesystem.wasMounted(known, on: device) })
            else {
                guard left == type.rawValue else { throw refusal(found) }
                return try await save(.formatted(left))
            }
        case (.unknown, .nothing):
            guard try await blocking({ [device] in try device.endsAreZero() }) else { throw refusal(found) }
        case (.unknown, .filesystem(type.rawValue)): return try await save(.formatted(type.rawValue))
        case (.formatted(type.rawValue), .filesystem(type.rawValue)): return
        // What the user of the raw device made there.
        case (.block, .filesystem(type.rawValue)): return
        case (.formatted(let known), .filesystem(let present)) where known == present:
            throw RequestError(
                .failedPrecondition, "volume \(volume.id) has \(known), not \(type.rawValue); ask for \(known)")
        default: throw refusal(found)
        }
        guard mayFormat else {
            throw RequestError(
                .failedPrecondition,
                "volume \(volume.id) has no file system yet, and is to be read only; publish it writable once")
        }
        try await make(type)
    }

    private func make(_ type: FilesystemType) async throws {
        let size = try await blocking { [device] in try device.size() }
        guard size >= type.minimumSize else {
            throw RequestError(
                .failedPrecondition,
                "volume \(volume.id) has \(size) bytes and \(type.rawValue) needs \(type.minimumSize); "
                    + "expand it, or ask for another file system")
        }
        try await save(.formatting(type.rawValue))
        try await Filesystem.make(type, on: device)
        try await save(.formatted(type.rawValue))
    }

    private func refusal(_ found: Signature) -> RequestError {
        RequestError(
            .failedPrecondition,
            "volume \(volume.id): the record says format \(format), the device shows \(found); "
                + "nothing is formatted, look at the device before you go on")
    }
}
