import FoundationEssentials
import LVM
import Logging

// Thin pools: made by the first thin volume of a group, removed with the last.
extension LVMDeviceManager {
    /// Why there can be no thin volumes on this machine; nil where they can be.
    nonisolated var thinTrouble: DeviceError? {
        guard !FileManager.default.isExecutableFile(atPath: LVM.thinCheck) else { return nil }
        return DeviceError(
            .failedPrecondition,
            "provisioning thin needs the program \(LVM.thinCheck): install the package thin-provisioning-tools")
    }

    /// A copy shares its source's pool, or shares nothing.
    func checkProvisioning(_ spec: VolumeSpec) throws(DeviceError) {
        let provisioning = spec.parameters.provisioning
        if provisioning == .thin, let thinTrouble { throw thinTrouble }
        guard let source = spec.source, let id = VolumeID(source.id) else { return }
        for volume in groups.find(id, in: nil) {
            let other: Provisioning = groups.logicalVolume(id, in: volume.location)?.pool == nil ? .thick : .thin
            guard provisioning != other else { continue }
            throw DeviceError(
                .invalidArgument,
                "parameters: provisioning is \(provisioning.rawValue), but the source \(id) is \(other.rawValue); "
                    + "a copy is provisioned like its source")
        }
    }

    /// The caller holds `changes`.
    ///
    /// Three runs, each of which leaves something that `tidyPools` knows when it is the last.
    func makePool(in group: String) async throws(DeviceError) {
        await tidyPools()
        guard let plan = groups.poolPlan(in: group) else {
            throw DeviceError(.notEnoughSpace, "group \(group) has too little room for a thin pool")
        }
        let (data, tables) = (ThinProvisioning.poolName, ThinProvisioning.tablesName)
        do {
            try await lvm.createVolume(group: group, name: tables, size: plan.tables, tags: [tags.pool])
            try await lvm.createVolume(group: group, name: data, size: plan.data, tags: [tags.pool])
            try await lvm.convertToPool(group: group, data: data, tables: tables)
        } catch {
            await reportAnew()
            await tidyPools()
            throw DeviceError(error)
        }
        try await report()
        logger.info("made a thin pool", metadata: ["group": "\(group)", "bytes": "\(plan.data)"])
    }

    /// Removes empty pools, whose space thick volumes could use, and what a creation that was cut off left of one.
    ///
    /// The caller holds `changes`. It succeeds or is tried again at the next change: an empty pool harms nobody.
    func tidyPools() async {
        let (unfinished, empty) = (groups.unfinishedPools(tags), groups.groupsWithEmptyPool)
        guard !unfinished.isEmpty || !empty.isEmpty else { return }
        do {
            for (group, name) in unfinished { try await lvm.removeVolume(group: group, name: name) }
            for group in empty { try await lvm.removeEmptyPool(group: group, name: ThinProvisioning.poolName) }
        } catch {
            logger.warning("a thin pool is not removed", metadata: ["error": "\(error)"])
        }
        await reportAnew()
    }

    /// Of a driver that was killed while it made a pool; its part is not to be taken for what is left of one.
    func waitForPoolMakers() async throws(DeviceError) {
        for name in [ThinProvisioning.tablesName, ThinProvisioning.poolName] {
            try await OrphanedCommands.wait(mentioning: name)
        }
    }

    /// An lvm that was killed while it changed a table, as all of a container's processes are, leaves the device
    /// suspended: its users hang until somebody loads the table again.
    func resumeSuspended() async {
        for (group, volume) in groups.logicalVolumes where tags.isOurs(volume) || volume.isPool {
            guard let status = try? deviceStatus(group: group, volume: volume.name), status.isSuspended else {
                continue
            }
            do {
                try await lvm.refresh(group: group, volume: volume.name)
                logger.warning("resumed a device", metadata: ["volume": "\(volume.name)", "group": "\(group)"])
            } catch {
                logger.error(
                    "a device is suspended; dmsetup resume may help",
                    metadata: ["volume": "\(volume.name)", "group": "\(group)", "error": "\(error)"])
            }
        }
    }
}
