import Host
import LVM
import Logging

// What the kernel and the devices say.
extension LVMDeviceManager {
    func refresh() async throws(DeviceError) {
        if !isStale {
            // A change of ours is under way: what is known stays true until it ends, and it sees to what follows.
            guard !changes.isHeld else { return }
            guard !(await groups.areCurrent()) else { return }
        }
        try await changes.withLock { () throws(DeviceError) in try await refreshHoldingChanges() }
    }

    func refreshHoldingChanges() async throws(DeviceError) {
        if !isStale {
            guard !(await groups.areCurrent()) else { return }
            logger.info("a volume group was changed by somebody else: taking a new report")
        }
        try await report()
    }

    func reportAlone() async throws(DeviceError) {
        try await changes.withLock { () throws(DeviceError) in try await report() }
    }

    /// What the last runs did is not known: one that failed may have done its work all the same.
    func reportAnew() async {
        isStale = true
        do {
            try await report()
        } catch {
            logger.warning("no report after a run of lvm", metadata: ["error": "\(error)"])
        }
    }

    /// The caller holds `changes`.
    func report() async throws(DeviceError) {
        do {
            groups = PMEMGroups(
                reported: try await lvm.groups(), thin: thin, promises: groups.promises)
        } catch {
            throw DeviceError(error)
        }
        // Of groups that are not there yet no sequence number tells.
        isStale = groups.isEmpty
    }

    func deviceStatus(group: String, volume: String) throws(DeviceError) -> DeviceStatus? {
        do {
            return try DeviceMapper.status(group: group, volume: volume)
        } catch {
            throw DeviceError(error, volume: volume)
        }
    }

    func checkUnused(_ volume: Volume) async throws(DeviceError) {
        try await waitUntilUnused(volume.id) { () throws(DeviceError) in try await use(of: volume) }
    }

    private func use(of volume: Volume) async throws(DeviceError) -> DeviceUse {
        guard let status = try deviceStatus(group: volume.location, volume: volume.id.rawValue) else { return .unused }
        let number = DeviceNumber(major: status.major, minor: status.minor)
        if try await blockingDevice({ try MountTable.isMountedAnywhere(number) }) { return .mounted }
        return status.openCount == 0 ? .unused : .open
    }

    func erase(_ volume: Volume, path: String, _ erasure: Erasure) async throws(DeviceError) {
        try await erasure.run(on: BlockDevice(path: path), of: volume.id, counting: erasedBytes)
    }
}
