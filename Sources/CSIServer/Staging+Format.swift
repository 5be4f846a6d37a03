import DeviceManager
import Host

// mkfs needs proof that nothing is lost: the record says what was done before, the device what is there now.
extension Staging {
    func format(_ device: BlockDevice, as type: FilesystemType) async throws {
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
        // What the user of the raw device made there.
        case (.block, .filesystem(type.rawValue)): return
        case (.formatted(let known), .filesystem(let present)) where known == present:
            throw RequestError(
                .failedPrecondition, "volume \(record.id) has \(known), not \(type.rawValue); ask for \(known)")
        default: throw refusal(found)
        }
        try await make(type, on: device)
    }

    private func make(_ type: FilesystemType, on device: BlockDevice) async throws {
        guard record.size >= type.minimumSize else {
            throw RequestError(
                .failedPrecondition,
                "volume \(record.id) has \(record.size) bytes and \(type.rawValue) needs \(type.minimumSize); "
                    + "expand it, or ask for another file system")
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
}
