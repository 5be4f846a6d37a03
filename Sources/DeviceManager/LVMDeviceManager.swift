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
    let tags: VolumeTags
    let thin: ThinProvisioning
    /// Creations, removals and reports: `lvm` itself runs one at a time, and free space must not be counted twice.
    let changes = AsyncLock()
    var groups: PMEMGroups
    /// What is known may be wrong, whatever the sequence numbers say; the next question takes a report first.
    var isStale = true
    let erasedBytes = Counter(label: "pmem_csi_erased_bytes_total")

    package init(driverName: String, lvm: LVM, thin: ThinProvisioning = ThinProvisioning(), logger: Logger) {
        self.lvm = lvm
        self.thin = thin
        self.logger = logger
        tags = VolumeTags(driver: driverName)
        groups = PMEMGroups(reported: [], thin: thin)
    }

    package nonisolated var defaultParameters: VolumeParameters { ManagerKind.lvm.defaultParameters }

    package func start() async throws(DeviceError) {
        // Fails early, with what to do, where the kernel has no device-mapper.
        _ = try deviceStatus(group: "pmem-csi", volume: "probe")
        try await waitForPoolMakers()
        try await reportAlone()
        if groups.isEmpty {
            logger.warning("no volume group of pmem-vgm is here, so there is no room: run pmem-ns-init, then pmem-vgm")
        }
        for warning in groups.warnings { logger.warning("\(warning)") }
        await resumeSuspended()
        await changes.withLock { await tidyPools() }
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
        guard parameters.provisioning == .thick || thinTrouble == nil else { return Capacity() }
        return groups.capacity(for: parameters)
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
        if let group = try bestPlace(spec) { return group }
        // Before refusing, look for groups that came since the last report.
        try await reportAlone()
        guard let group = try bestPlace(spec) else { throw groups.noRoom(for: spec, in: sharedPlace(spec)?.location) }
        return group
    }

    private func bestPlace(_ spec: VolumeSpec) throws(DeviceError) -> String? {
        try checkProvisioning(spec)
        guard let volume = sharedPlace(spec) else { return try groups.bestFit(spec) }
        return try groups.size(of: spec.holding(volume.size), in: volume.location) == nil ? nil : volume.location
    }

    /// The source of a thin copy: what shares chunks is in one pool.
    private func sharedPlace(_ spec: VolumeSpec) -> Volume? {
        guard spec.parameters.provisioning == .thin, let source = spec.source else { return nil }
        return VolumeID(source.id).flatMap { groups.find($0, in: nil).first }
    }

    package func promise(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        try await changes.withLock { () throws(DeviceError) in
            try await refreshHoldingChanges()
            groups.release(spec.id)
            guard let size = try groups.size(of: spec, in: location) else {
                throw groups.noRoom(for: spec, in: location)
            }
            let volume = Volume(id: spec.id, size: size, location: location)
            groups.promise(volume)
            return volume
        }
    }

    package func release(_ id: VolumeID) { groups.release(id) }

    package func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        try checkProvisioning(spec)
        let volume = try await changes.withLock { () throws(DeviceError) in
            // What was promised to it is taken now.
            groups.release(spec.id)
            return try await allocate(spec, in: location)
        }
        guard spec.parameters.provisioning == .thick else { return volume }
        do {
            let device = BlockDevice(path: try await attach(volume.id, location: volume.location))
            try await blockingDevice { try device.zeroEnds() }
        } catch {
            try await undo(volume, after: error)
        }
        return volume
    }

    package func discard(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await OrphanedCommands.wait(mentioning: id.rawValue)
        guard let volume = try await present(id, location: location) else { return }
        // Our creations tag what they make, so without the tags it is somebody else's.
        guard let logical = groups.logicalVolume(id, in: location), tags.isOurs(logical) else { return }
        if logical.pool == nil, let erasure {
            try await erase(volume, path: try await attach(id, location: location), erasure)
        }
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
        try await checkUnused(volume)
        // A thin volume's chunks are zeroed before anybody gets them; overwriting would take all of them first.
        if let erasure, groups.logicalVolume(id, in: location)?.pool == nil {
            try await erase(volume, path: try await attach(id, location: location), erasure)
        }
        try await changes.withLock { () throws(DeviceError) in try await remove(volume) }
    }

    /// The volume if it is there, nil if it is certainly gone.
    ///
    /// Throws `unavailable` when its group is not here, as far as a new report can tell.
    func present(_ id: VolumeID, location: String) async throws(DeviceError) -> Volume? {
        if let volume = try await volume(id, location: location) { return volume }
        if !groups.contains(location) { try await reportAlone() }
        guard groups.contains(location) else {
            throw DeviceError(
                .unavailable, "volume \(id): its group \(location) is not here; bring its region back and try again")
        }
        return try await volume(id, location: location)
    }

    package func device(_ id: VolumeID, location: String) throws(DeviceError) -> String? {
        guard try deviceStatus(group: location, volume: id.rawValue) != nil else { return nil }
        return try ensureNode(id, in: location)
    }

    /// Logical volumes stay active: activating one takes a run of lvm.
    package func detach(_ id: VolumeID, location: String) {}

    package func attach(_ id: VolumeID, location group: String) async throws(DeviceError) -> String {
        if try deviceStatus(group: group, volume: id.rawValue) == nil {
            try await translating { () throws(LVMError) in try await lvm.activate(group: group, volume: id.rawValue) }
        }
        return try ensureNode(id, in: group)
    }

    private func ensureNode(_ id: VolumeID, in group: String) throws(DeviceError) -> String {
        do {
            return try DeviceMapper.ensureNode(group: group, volume: id.rawValue)
        } catch {
            throw DeviceError(error, volume: id.rawValue)
        }
    }
}
