import Host
import Ndctl

extension DirectDeviceManager: Snapshotting {
    /// The kernel has nothing like a snapshot of a namespace, so every copy is made block by block.
    package func copy(
        _ source: CopySource, to spec: VolumeSpec, at location: String, progress: @escaping @Sendable (UInt64) -> Bool
    ) async throws(DeviceError) -> Volume {
        let original = source.volume
        switch source.use {
        case .raw: throw DeviceCopy.inRawUse(original.id)
        case .none: try await checkUnused(original.id, location: original.location)
        case .mounted: break
        }
        let path = try await attach(original.id, location: original.location)
        let volume = try await allocate(spec.holding(original.size), in: location)
        let copied = CopyExtent()
        do {
            let device = BlockDevice(path: try await attach(volume.id, location: location))
            try await blockingDevice { try device.zeroEnd(addedTo: original.size) }
            let copy = DeviceCopy(
                volume: original.id, source: path, destination: device.path, size: original.size, skipsHoles: false
            ) { done in
                copied.reach(done)
                return progress(done)
            }
            try await copy.run(source.use)
        } catch {
            guard error.code != .aborted else { throw error }
            if spec.parameters.eraseAfter { try await eraseCopy(volume, upTo: copied.end, after: error) }
            throw await takenBack(volume.id, after: error)
        }
        return volume
    }

    /// What was copied into free space would show up in the next volume there.
    ///
    /// Where it cannot be overwritten the copy stays, and the record of its creation with it.
    private func eraseCopy(_ copy: Volume, upTo end: UInt64, after error: DeviceError) async throws(DeviceError) {
        do {
            guard let found = try await find(copy.id, enabling: true) else { return }
            // A BTT puts sectors anywhere, so of those the whole memory is overwritten.
            let end = found.namespace.mode == .fsdax ? end : .max
            try await erase(found, copy.id, Erasure(start: 0) { $0 < end })
        } catch let second {
            guard second.code != .aborted else { return }
            throw DeviceError(.failed, "\(error); and what it copied could not be overwritten", cause: second)
        }
    }
}
