package import DeviceManager

extension InMemoryDeviceManager: Expanding {
    package func expand(
        _ id: VolumeID, location: String, to size: SizeRange, from oldSize: UInt64, isRaw: Bool
    ) async throws(DeviceError) -> Volume {
        try await pass(.expand)
        wasRaw = isRaw
        guard let old = devices[id]?.volume else { throw DeviceError(.notFound, "volume \(id) has no device") }
        if old.size < size.required {
            let new = try size.size(multipleOf: Self.unit)
            guard new - old.size <= free else {
                throw DeviceError(.notEnoughSpace, "volume \(id): \(new) bytes asked for, \(free) more are free")
            }
            devices[id]?.volume = Volume(id: id, size: new, location: old.location)
            devices[id]?.isStale = !isRaw
        }
        try await pass(.grown)
        if !isRaw { devices[id]?.isStale = false }
        try await pass(.expanded)
        return devices[id]?.volume ?? old
    }
}

extension InMemoryDeviceManager: Snapshotting {
    package func copy(
        _ source: CopySource, to spec: VolumeSpec, at location: String, progress: @escaping @Sendable (UInt64) -> Bool
    ) async throws(DeviceError) -> Volume {
        try await pass(.copy)
        use = source.use
        guard devices[source.volume.id]?.volume == source.volume else {
            throw DeviceError(.failed, "volume \(source.volume.id) is not what the caller says")
        }
        let volume = try allocate(spec, at: location)
        try await pass(.allocated)
        do {
            try await fill(spec.id, from: source, progress)
        } catch {
            if error.code != .aborted { devices[spec.id] = nil }
            throw error
        }
        // As when the device cannot be taken back after an error.
        try await pass(.copied)
        return volume
    }

    private func fill(
        _ id: VolumeID, from source: CopySource, _ progress: @Sendable (UInt64) -> Bool
    ) async throws(DeviceError) {
        switch source.use {
        case .none: break
        case .raw:
            throw DeviceError(.failedPrecondition, "volume \(source.volume.id) is written to as a raw device")
        case .mounted(let freeze):
            let body = whileFrozen
            try await blockingDevice { try freeze.hold { _ in try body?() } }
        }
        var position: UInt64 = 0
        while position < source.volume.size {
            position = min(position + Self.unit, source.volume.size)
            try await pass(.copying)
            guard progress(position) || position == source.volume.size else {
                throw DeviceError(.aborted, "volume \(id): the driver is stopping")
            }
        }
        let content = devices[source.volume.id]?.content ?? ""
        devices[id]?.content = content
    }
}
