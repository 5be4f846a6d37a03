import Host

extension FileDeviceManager: Expanding {
    /// What was added reads as zeroes by itself.
    package func expand(
        _ id: VolumeID, location: String, to range: SizeRange, from oldSize: UInt64, isRaw: Bool
    ) async throws(DeviceError) -> Volume {
        let file = try file(id, location)
        let size = try range.size(multipleOf: FileStore.unit)
        return try await blockingDevice { [self] in
            guard let status = try file.status() else {
                throw DeviceError(.unavailable, "volume \(id): its file \(file.path) is missing; bring it back")
            }
            if status.size < size {
                try grow(id, file, from: status.size, to: size, allocated: location == Provisioning.thick.rawValue)
            } else {
                // An earlier attempt may have been cut off between setting space aside and the new size.
                try file.trim(to: status.size)
            }
            for loop in try LoopAttachment.showing(file, status.identity) { try loop.updateSize() }
            return Volume(id: id, size: max(size, status.size), location: location)
        }
    }

    private func grow(
        _ id: VolumeID, _ file: BackingFile, from oldSize: UInt64, to size: UInt64, allocated: Bool
    ) throws {
        try ledger.grow(id, from: oldSize, to: size)
        do {
            try file.grow(from: oldSize, to: size, allocated: allocated)
        } catch {
            ledger.finish(id, size: oldSize)
            throw error
        }
        ledger.finish(id, size: size)
    }
}

extension FileDeviceManager: Snapshotting {
    /// Blocks are given to a thick copy in pieces of 64 MiB.
    private static let piece: UInt64 = 64 << 20

    package func copy(
        _ source: CopySource, to spec: VolumeSpec, at location: String, progress: @escaping @Sendable (UInt64) -> Bool
    ) async throws(DeviceError) -> Volume {
        let id = spec.id
        let provisioning = try FileStore.provisioning(location, of: id)
        let size = try spec.size.size(multipleOf: FileStore.unit)
        guard size >= source.volume.size else {
            throw DeviceError(.outOfRange, "volume \(id): a copy has \(source.volume.size) bytes at least")
        }
        let hasSharing = ledger.hasSharing
        switch source.use {
        case .raw where !hasSharing: throw DeviceCopy.inRawUse(source.volume.id)
        // Not mounted where that can be seen; whether somebody has it open is known only after it was detached.
        case .none where !hasSharing: try await checkUnused(source.volume.id, location: source.volume.location)
        default: break
        }
        let original = try file(source.volume.id, source.volume.location)
        let new = store.newFile(id, provisioning)
        try await blockingDevice { [self] in try begin(id, provisioning, size: size) }
        do throws(DeviceError) {
            try await blockingDevice { [self] in try flush(source.volume.id, original) }
            if hasSharing {
                try await share(original, with: new, size: size, source.use)
                if provisioning == .thick { try await unshare(new, id, size: size, progress) }
            } else {
                try await blockingDevice { try new.create(size: size, allocated: provisioning == .thick) }
                let copy = DeviceCopy(
                    volume: source.volume.id, source: original.path, destination: new.path, size: source.volume.size,
                    skipsHoles: true, progress: progress)
                try await copy.run(source.use)
            }
            return try await blockingDevice { [self] in try finish(id, provisioning, size: size) }
        } catch {
            let cause = error
            return try await blockingDevice { [self] in throw takenBack(id, provisioning, after: cause) }
        }
    }

    /// Nothing of the source stays in the page cache of its loop device only; blocks.
    private func flush(_ id: VolumeID, _ file: BackingFile) throws {
        guard let identity = try file.status()?.identity else {
            throw DeviceError(.unavailable, "volume \(id): its file \(file.path) is missing; bring it back")
        }
        try loops.find(id, file, identity)?.flush()
    }

    /// The content of one moment, however much it is; a file system is held still only to be unmounted cleanly in it.
    private func share(
        _ original: BackingFile, with new: BackingFile, size: UInt64, _ use: CopySource.Use
    ) async throws(DeviceError) {
        try await blockingDevice {
            switch use {
            case .none, .raw: try new.create(sharing: original, size: size)
            case .mounted(let freeze): try freeze.hold { _ in try new.create(sharing: original, size: size) }
            }
        }
    }

    private func unshare(
        _ file: BackingFile, _ id: VolumeID, size: UInt64, _ progress: @escaping @Sendable (UInt64) -> Bool
    ) async throws(DeviceError) {
        try await blockingDevice(on: .copying) {
            var position: UInt64 = 0
            while position < size {
                guard progress(position) else {
                    throw DeviceError(.aborted, "volume \(id): the driver is stopping; the next call begins anew")
                }
                let end = min(size, position + Self.piece)
                try file.unshare(position..<end)
                position = end
            }
            try file.fillHoles(size: size)
            _ = progress(size)
        }
    }
}
