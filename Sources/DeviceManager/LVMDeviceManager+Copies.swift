import Host
import LVM

extension LVMDeviceManager: Snapshotting {
    package func copy(
        _ source: CopySource, to spec: VolumeSpec, at location: String, progress: @escaping @Sendable (UInt64) -> Bool
    ) async throws(DeviceError) -> Volume {
        try checkProvisioning(spec)
        let spec = spec.holding(source.volume.size)
        guard spec.parameters.provisioning == .thin else {
            return try await copyContent(of: source, to: spec, at: location, progress)
        }
        guard location == source.volume.location else {
            throw DeviceError(
                .invalidArgument,
                "volume \(spec.id): a thin copy is in the group of its source, which is not \(location)")
        }
        // One change of the kernel's table, for which it holds the writers itself; so the use does not matter.
        return try await changes.withLock { () throws(DeviceError) in
            try await allocate(spec, in: location, from: source.volume)
        }
    }

    /// Thick volumes: the kernel refuses a classic snapshot on fsdax, and reading a suspended volume.
    private func copyContent(
        of source: CopySource, to spec: VolumeSpec, at location: String,
        _ progress: @escaping @Sendable (UInt64) -> Bool
    ) async throws(DeviceError) -> Volume {
        switch source.use {
        case .raw: throw DeviceCopy.inRawUse(source.volume.id)
        case .none: try await checkUnused(source.volume)
        case .mounted: break
        }
        let path = try await attach(source.volume.id, location: source.volume.location)
        let volume = try await changes.withLock { () throws(DeviceError) in try await allocate(spec, in: location) }
        let copied = CopyExtent()
        do {
            let device = BlockDevice(path: try await attach(volume.id, location: location))
            try await blockingDevice { try device.zeroEnd(addedTo: source.volume.size) }
            let copy = DeviceCopy(
                volume: source.volume.id, source: path, destination: device.path, size: source.volume.size,
                skipsHoles: false
            ) { done in
                copied.reach(done)
                return progress(done)
            }
            try await copy.run(source.use)
        } catch {
            guard error.code != .aborted else { throw error }
            if spec.parameters.eraseAfter { try await eraseCopy(volume, upTo: copied.end, after: error) }
            try await undo(volume, after: error)
        }
        return volume
    }

    /// What was copied into free space would show up in the next volume there.
    ///
    /// Where it cannot be overwritten the copy stays, and the record of its creation with it.
    private func eraseCopy(_ copy: Volume, upTo end: UInt64, after error: DeviceError) async throws(DeviceError) {
        do {
            let device = BlockDevice(path: try await attach(copy.id, location: copy.location))
            try await blockingDevice(on: .long) { _ = try device.erase { $0 < end } }
        } catch let second {
            throw DeviceError(.failed, "\(error); and what it copied could not be overwritten", cause: second)
        }
    }
}
