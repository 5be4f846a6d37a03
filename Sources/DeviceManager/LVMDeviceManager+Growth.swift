import Host
import LVM

extension LVMDeviceManager: Expanding {
    package func expand(
        _ id: VolumeID, location: String, to size: SizeRange, from oldSize: UInt64, isRaw: Bool
    ) async throws(DeviceError) -> Volume {
        try await OrphanedCommands.wait(mentioning: id.rawValue)
        guard try await present(id, location: location) != nil else {
            throw DeviceError(.notFound, "volume \(id): it is not in group \(location)")
        }
        let volume = try await changes.withLock { () throws(DeviceError) in try await grow(id, in: location, to: size) }
        // Of a thin volume what was added reads as zeroes by itself.
        guard !isRaw, oldSize < volume.size, groups.logicalVolume(id, in: location)?.pool == nil else { return volume }
        let device = BlockDevice(path: try await attach(id, location: location))
        try await blockingDevice { try device.zeroEnd(addedTo: oldSize) }
        return volume
    }

    /// The caller holds `changes`.
    private func grow(_ id: VolumeID, in group: String, to size: SizeRange) async throws(DeviceError) -> Volume {
        try await refreshHoldingChanges()
        guard let logical = groups.logicalVolume(id, in: group) else {
            throw DeviceError(.unavailable, "volume \(id): it is not in group \(group) now; bring its region back")
        }
        let volume = Volume(id: id, size: logical.size, location: group)
        guard logical.size < size.required else {
            try size.checkLimit(for: id, of: logical.size)
            return volume
        }
        let wanted = try groups.size(of: logical, in: group, grownTo: size)
        do {
            return try await extend(volume, to: wanted)
        } catch {
            await reportAnew()
            throw DeviceError(error)
        }
    }
}
