import CoreMetrics
import Host
package import LVM
package import Logging

/// Volumes as logical volumes in the groups that pmem-vgm made, one group for each region and namespace mode.
///
/// It asks the kernel, not `lvm`: after one report at start-up its own changes adjust what it knows, and the groups'
/// sequence numbers, read straight from the devices, tell whether anybody else changed something.
package actor LVMDeviceManager: DeviceManager {
    let lvm: LVM
    let logger: Logger
    private let tags: VolumeTags
    /// Creations, removals and reports: `lvm` itself runs one at a time, and free space must not be counted twice.
    private let changes = AsyncLock()
    private var groups: PMEMGroups
    /// What is known may be wrong, whatever the sequence numbers say; the next question takes a report first.
    private var isStale = true
    private let erasedBytes = Counter(label: "pmem_csi_erased_bytes_total")

    package init(driverName: String, lvm: LVM, logger: Logger) {
        self.lvm = lvm
        self.logger = logger
        tags = VolumeTags(driver: driverName)
        groups = PMEMGroups(reported: [])
    }

    package nonisolated var defaultParameters: VolumeParameters { VolumeParameters() }

    package func start() async throws(DeviceError) {
        // Fails early, with what to do, where the kernel has no device-mapper.
        _ = try deviceStatus(group: "pmem-csi", volume: "probe")
        try await reportAlone()
        if groups.isEmpty {
            logger.warning("no volume group of pmem-vgm is here, so there is no room: run pmem-ns-init, then pmem-vgm")
        }
        for warning in groups.warnings { logger.warning("\(warning)") }
        guard groups.logicalVolumes.contains(where: { tags.isOurs($0.volume) && !$0.volume.isActive }) else { return }
        do {
            try await lvm.activate(tag: tags.driver)
        } catch {
            // One broken volume must not keep the others away; each is activated again when it is attached.
            logger.error("not all volumes could be activated", metadata: ["error": "\(error)"])
        }
    }

    package func capacity(for parameters: VolumeParameters) async throws(DeviceError) -> Capacity {
        try await refresh()
        return groups.capacity(mode: parameters.mode)
    }

    package func volume(_ id: VolumeID, location: String?) async throws(DeviceError) -> Volume? {
        try await refresh()
        let found = groups.find(id, in: location)
        guard found.count < 2 else {
            let places = found.map(\.location).sorted().joined(separator: ", ")
            throw DeviceError(
                .failedPrecondition, "volume \(id) exists more than once: in \(places); remove or rename one")
        }
        return found.first
    }

    package func volumes() async throws(DeviceError) -> [Volume] {
        try await refresh()
        return groups.rebuiltRecords(tags).compactMap { record in
            VolumeID(record.id).map { Volume(id: $0, size: record.size, location: record.location ?? "") }
        }
    }

    /// Records for all volumes of this driver, made from their tags alone: for a state directory that was lost.
    package func rebuiltRecords() async throws(DeviceError) -> [VolumeRecord] {
        try await refresh()
        return groups.rebuiltRecords(tags)
    }

    package func place(_ spec: VolumeSpec) async throws(DeviceError) -> String {
        try await refresh()
        if let group = try groups.bestFit(spec) { return group }
        // Before refusing, look for groups that came since the last report.
        try await reportAlone()
        guard let group = try groups.bestFit(spec) else { throw groups.noRoom(for: spec) }
        return group
    }

    package func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        let volume = try await changes.withLock { () throws(DeviceError) in try await allocate(spec, in: location) }
        do {
            let device = BlockDevice(path: try await attach(volume.id, location: volume.location))
            try await blockingDevice { try device.zeroEnds() }
        } catch {
            try await undo(volume, after: error)
        }
        return volume
    }

    package func discard(_ id: VolumeID, location: String) async throws(DeviceError) {
        try await OrphanedCommands.wait(mentioning: id.rawValue)
        guard let volume = try await present(id, location: location) else { return }
        // Our creations tag what they make, so without the tags it is somebody else's.
        guard groups.logicalVolume(id, in: location).map(tags.isOurs) == true else { return }
        try await changes.withLock { () throws(DeviceError) in try await remove(volume) }
    }

    package func update(_ id: VolumeID, location: String, parameters: VolumeParameters) async throws(DeviceError) {
        try await changes.withLock { () throws(DeviceError) in try await retag(id, in: location, parameters) }
    }

    package func checkUnused(_ id: VolumeID, location: String) async throws(DeviceError) {
        try await checkUnused(Volume(id: id, size: 0, location: location))
    }

    package func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        guard let volume = try await present(id, location: location) else { return }
        let path = try await attach(id, location: location)
        try await checkUnused(volume)
        if let erasure { try await erase(volume, path: path, erasure) }
        try await changes.withLock { () throws(DeviceError) in try await remove(volume) }
    }

    /// The volume if it is there, nil if it is certainly gone.
    ///
    /// Throws `unavailable` when its group is not here, as far as a new report can tell.
    private func present(_ id: VolumeID, location: String) async throws(DeviceError) -> Volume? {
        if let volume = try await volume(id, location: location) { return volume }
        if !groups.contains(location) { try await reportAlone() }
        guard groups.contains(location) else {
            throw DeviceError(
                .unavailable, "volume \(id): its group \(location) is not here; bring its region back and try again")
        }
        return try await volume(id, location: location)
    }

    package func device(_ id: VolumeID, location: String) -> String? {
        DeviceMapper.path(group: location, volume: id.rawValue)
    }

    /// Logical volumes stay active: activating one takes a run of lvm.
    package func detach(_ id: VolumeID, location: String) {}

    package func attach(_ id: VolumeID, location group: String) async throws(DeviceError) -> String {
        if try deviceStatus(group: group, volume: id.rawValue) == nil {
            try await translating { () throws(LVMError) in try await lvm.activate(group: group, volume: id.rawValue) }
        }
        do {
            return try DeviceMapper.ensureNode(group: group, volume: id.rawValue)
        } catch {
            throw DeviceError(error, volume: id.rawValue)
        }
    }
}

// Creation and removal; each caller holds `changes`.
extension LVMDeviceManager {
    private func allocate(_ spec: VolumeSpec, in group: String) async throws(DeviceError) -> Volume {
        try await refreshHoldingChanges()
        if let volume = groups.find(spec.id, in: nil).first {
            throw DeviceError(
                .alreadyExists,
                "volume \(spec.id): group \(volume.location) has a logical volume of that name that no record explains")
        }
        guard let size = try groups.size(of: spec, in: group) else { throw groups.noRoom(for: spec) }
        let tags = tags.tags(of: spec)
        do {
            try await lvm.createVolume(group: group, name: spec.id.rawValue, size: size, tags: tags)
        } catch {
            await reportAfterFailure()
            throw DeviceError(error)
        }
        let volume = Volume(id: spec.id, size: size, location: group)
        groups.add(volume, tags: tags)
        return volume
    }

    private func remove(_ volume: Volume) async throws(DeviceError) {
        do {
            try await lvm.removeVolume(group: volume.location, name: volume.id.rawValue)
        } catch {
            await reportAfterFailure()
            let isGone = groups.contains(volume.location) && groups.find(volume.id, in: volume.location).isEmpty
            guard error.code == .notFound, isGone, !isStale else { throw DeviceError(error) }
            return
        }
        groups.remove(volume)
    }

    /// The tag of `eraseafter` is what `csictl adopt` reads, so it follows the record.
    private func retag(_ id: VolumeID, in group: String, _ parameters: VolumeParameters) async throws(DeviceError) {
        try await refreshHoldingChanges()
        guard let volume = groups.logicalVolume(id, in: group) else {
            throw DeviceError(.unavailable, "volume \(id): it is not in group \(group) now; bring its region back")
        }
        let wanted = tags.eraseAfter(parameters.eraseAfter)
        let outdated = volume.tags.filter { $0.hasPrefix(VolumeTags.eraseKey) && $0 != wanted }
        guard !outdated.isEmpty || !volume.tags.contains(wanted) else { return }
        do {
            try await lvm.changeTags(group: group, name: id.rawValue, add: [wanted], remove: outdated)
        } catch {
            await reportAfterFailure()
            throw DeviceError(error)
        }
        groups.setTags(volume.tags.filter { !outdated.contains($0) } + [wanted], of: id, in: group)
    }

    /// Takes a failed creation back, so that no device is left that no answer ever named.
    private func undo(_ volume: Volume, after error: DeviceError) async throws(DeviceError) -> Never {
        do {
            try await changes.withLock { () throws(DeviceError) in try await remove(volume) }
        } catch let second {
            throw DeviceError(.failed, "\(error); and logical volume \(volume.id) could not be removed", cause: second)
        }
        throw error
    }
}

// What the kernel and the devices say.
extension LVMDeviceManager {
    private func refresh() async throws(DeviceError) {
        if !isStale {
            // A change of ours is under way: what is known stays true until it ends, and it sees to what follows.
            guard !changes.isHeld else { return }
            guard !(await groups.areCurrent()) else { return }
        }
        try await changes.withLock { () throws(DeviceError) in try await refreshHoldingChanges() }
    }

    private func refreshHoldingChanges() async throws(DeviceError) {
        if !isStale {
            guard !(await groups.areCurrent()) else { return }
            logger.info("a volume group was changed by somebody else: taking a new report")
        }
        try await report()
    }

    private func reportAlone() async throws(DeviceError) {
        try await changes.withLock { () throws(DeviceError) in try await report() }
    }

    /// A run of lvm that failed may have done its work all the same.
    private func reportAfterFailure() async {
        isStale = true
        do {
            try await report()
        } catch {
            logger.warning("no report after a failed run of lvm", metadata: ["error": "\(error)"])
        }
    }

    /// The caller holds `changes`.
    private func report() async throws(DeviceError) {
        do {
            groups = PMEMGroups(reported: try await lvm.groups())
        } catch {
            throw DeviceError(error)
        }
        // Of groups that are not there yet no sequence number tells.
        isStale = groups.isEmpty
    }

    private func deviceStatus(group: String, volume: String) throws(DeviceError) -> DeviceStatus? {
        do {
            return try DeviceMapper.status(group: group, volume: volume)
        } catch {
            throw DeviceError(error, volume: volume)
        }
    }

    /// udev and blkid open devices for a moment, so an open counts only when it lasts for two seconds.
    private func checkUnused(_ volume: Volume) async throws(DeviceError) {
        for attempt in 0...20 {
            guard let status = try deviceStatus(group: volume.location, volume: volume.id.rawValue) else { return }
            let number = DeviceNumber(major: status.major, minor: status.minor)
            if try await blockingDevice({ try MountTable.isMountedAnywhere(number) }) {
                throw DeviceError(.inUse, "volume \(volume.id) is mounted; unmount it first, its data is untouched")
            }
            if status.openCount == 0 { return }
            if attempt < 20 { await pause(.milliseconds(100)) }
        }
        throw DeviceError(.inUse, "volume \(volume.id) is open in some process; close it first, its data is untouched")
    }

    private func erase(_ volume: Volume, path: String, _ erasure: Erasure) async throws(DeviceError) {
        let counter = erasedBytes
        let finished = try await blockingDevice(on: .long) {
            var done = erasure.start
            return try BlockDevice(path: path).erase(from: erasure.start) { bytes in
                counter.increment(by: Int64(bytes - done))
                done = bytes
                return erasure.progress(bytes)
            }
        }
        guard finished else {
            throw DeviceError(
                .aborted, "volume \(volume.id): the driver is stopping; its erasure goes on after the next start")
        }
    }
}
