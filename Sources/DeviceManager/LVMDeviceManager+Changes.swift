import LVM

// Creation and removal; each caller holds `changes`.
extension LVMDeviceManager {
    /// Of `origin`, a thin volume, it gets the content.
    func allocate(
        _ spec: VolumeSpec, in group: String, from origin: Volume? = nil
    ) async throws(DeviceError) -> Volume {
        try await refreshHoldingChanges()
        if let volume = groups.find(spec.id, in: nil).first {
            throw DeviceError(
                .alreadyExists,
                "volume \(spec.id): group \(volume.location) has a logical volume of that name that no record explains")
        }
        // Also where the pool is still to be made.
        guard try groups.size(of: spec, in: group) != nil else { throw groups.noRoom(for: spec, in: group) }
        if spec.parameters.provisioning == .thin, groups.pool(in: group) == nil { try await makePool(in: group) }
        guard let size = try groups.size(of: spec, in: group) else { throw groups.noRoom(for: spec, in: group) }
        do {
            return try await make(spec, Volume(id: spec.id, size: size, location: group), from: origin)
        } catch {
            await reportAnew()
            await tidyPools()
            // What existed before, or is not tagged, somebody else made.
            if error.code != .alreadyExists, let left = groups.logicalVolume(spec.id, in: group), tags.isOurs(left) {
                let volume = Volume(id: spec.id, size: left.size, location: group)
                try await removeHalfMade(volume, after: DeviceError(error))
            }
            throw DeviceError(error)
        }
    }

    /// A snapshot begins with its origin's size, so that it may be larger takes a second run.
    private func make(_ spec: VolumeSpec, _ volume: Volume, from origin: Volume?) async throws(LVMError) -> Volume {
        let (group, name, tags) = (volume.location, volume.id.rawValue, tags.tags(of: spec))
        switch (spec.parameters.provisioning, origin) {
        case (.thick, _):
            try await lvm.createVolume(group: group, name: name, size: volume.size, tags: tags)
        case (.thin, nil):
            try await lvm.createThinVolume(
                group: group, pool: ThinProvisioning.poolName, name: name, size: volume.size, tags: tags)
        case (.thin, let origin?):
            try await lvm.createSnapshot(group: group, origin: origin.id.rawValue, name: name, tags: tags)
            let copy = Volume(id: volume.id, size: origin.size, location: group)
            groups.add(copy, tags: tags, provisioning: .thin, origin: origin.id.rawValue)
            return try await extend(copy, to: volume.size)
        }
        groups.add(volume, tags: tags, provisioning: spec.parameters.provisioning)
        return volume
    }

    /// Does nothing where the volume has the size.
    func extend(_ volume: Volume, to size: UInt64) async throws(LVMError) -> Volume {
        guard volume.size < size else { return volume }
        try await lvm.extendVolume(group: volume.location, name: volume.id.rawValue, size: size)
        groups.resize(volume.id, in: volume.location, to: size)
        return Volume(id: volume.id, size: size, location: volume.location)
    }

    func remove(_ volume: Volume) async throws(DeviceError) {
        do {
            try await lvm.removeVolume(group: volume.location, name: volume.id.rawValue)
        } catch {
            await reportAnew()
            let isGone = groups.contains(volume.location) && groups.find(volume.id, in: volume.location).isEmpty
            guard error.code == .notFound, isGone, !isStale else { throw DeviceError(error) }
            return
        }
        groups.remove(volume)
        await tidyPools()
    }

    /// The tag of `eraseafter` is what `csictl adopt` reads, so it follows the record.
    func retag(_ id: VolumeID, in group: String, _ parameters: VolumeParameters) async throws(DeviceError) {
        try await refreshHoldingChanges()
        guard let volume = groups.logicalVolume(id, in: group) else {
            throw DeviceError(.unavailable, "volume \(id): it is not in group \(group) now; bring its region back")
        }
        let wanted = tags.eraseAfter(parameters.eraseAfter)
        let outdated = volume.tags.filter { $0.hasPrefix(VolumeTags.eraseKey) && $0 != wanted }
        // A volume of pmem-csi has no such tag, which means the same as the tag of true.
        guard tags.eraseAfter(volume) != parameters.eraseAfter else { return }
        do {
            try await lvm.changeTags(group: group, name: id.rawValue, add: [wanted], remove: outdated)
        } catch {
            await reportAnew()
            throw DeviceError(error)
        }
        groups.setTags(volume.tags.filter { !outdated.contains($0) } + [wanted], of: id, in: group)
    }

    /// Takes a failed creation back, so that no device is left that no answer ever named.
    private func removeHalfMade(_ volume: Volume, after error: DeviceError) async throws(DeviceError) {
        do {
            try await remove(volume)
        } catch let second {
            throw DeviceError(.failed, "\(error); and logical volume \(volume.id) could not be removed", cause: second)
        }
    }

    /// The same for a caller that does not hold `changes`.
    func undo(_ volume: Volume, after error: DeviceError) async throws(DeviceError) -> Never {
        try await changes.withLock { () throws(DeviceError) in try await removeHalfMade(volume, after: error) }
        throw error
    }
}
