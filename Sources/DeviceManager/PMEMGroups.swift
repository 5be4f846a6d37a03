import Host
import LVM

/// The volume groups of pmem-vgm as last reported, with the driver's own changes since applied.
///
/// A value owned by `LVMDeviceManager`; `areCurrent` proves against the devices that it still holds.
struct PMEMGroups: Sendable {
    struct Entry {
        var group: VolumeGroup
        let mode: NamespaceMode

        /// LVM changes no group of which a physical volume is missing.
        var isComplete: Bool { !group.physicalVolumes.contains(where: \.isMissing) }
    }

    private(set) var entries: [String: Entry] = [:]
    /// Volumes that are not made yet, by id: their room counts as taken.
    private(set) var promises: [VolumeID: Volume] = [:]
    let thin: ThinProvisioning

    /// Takes those that pmem-vgm made: tagged with their mode, and named bus, region and mode.
    init(reported: [VolumeGroup], thin: ThinProvisioning, promises: [VolumeID: Volume] = [:]) {
        self.thin = thin
        for group in reported {
            guard let mode = Self.mode(of: group) else { continue }
            entries[group.name] = Entry(group: group, mode: mode)
        }
        for volume in promises.values { promise(volume) }
    }

    var isEmpty: Bool { entries.isEmpty }

    var logicalVolumes: [(group: String, volume: LogicalVolume)] {
        entries.values.flatMap { entry in entry.group.logicalVolumes.map { (entry.group.name, $0) } }
            .sorted { ($0.group, $0.volume.name) < ($1.group, $1.volume.name) }
    }

    /// A small metadata area holds few volumes: about 302 bytes each, and two copies must fit.
    var warnings: [String] {
        entries.values.flatMap(\.group.physicalVolumes).filter { $0.metadataSize > 0 && $0.metadataSize < 8 << 20 }.map
        {
            "\($0.device) has a metadata area of \($0.metadataSize) bytes, room for about \($0.metadataSize / 2 / 302) "
                + "volumes; a group that pmem-vgm makes now has 16 MiB"
        }
    }

    func contains(_ group: String) -> Bool { entries[group] != nil }

    func logicalVolume(_ id: VolumeID, in group: String) -> LogicalVolume? {
        entries[group]?.group.volume(id.rawValue)
    }

    /// The volumes of that id, in one group or in all.
    func find(_ id: VolumeID, in location: String?) -> [Volume] {
        entries.values.filter { location == nil || $0.group.name == location }.compactMap { entry in
            logicalVolume(id, in: entry.group.name).map {
                Volume(id: id, size: $0.size, location: entry.group.name)
            }
        }
    }

    func capacity(for parameters: VolumeParameters) -> Capacity {
        var capacity = Capacity()
        capacity.minimumVolumeSize = LVM.extentSize
        for entry in entries.values where entry.mode == parameters.mode && entry.isComplete {
            let room = room(in: entry, parameters.provisioning)
            capacity.available += room
            capacity.total += parameters.provisioning == .thin ? thinLimit(entry.group) : entry.group.size
            capacity.maximumVolumeSize = max(capacity.maximumVolumeSize, room)
        }
        return capacity
    }

    private func room(in entry: Entry, _ provisioning: Provisioning) -> UInt64 {
        entry.group.room(provisioning, thinLimit: thinLimit(entry.group))
    }

    /// What the volume would take in that group, if it has room; a group of older make may have other extents.
    func size(of spec: VolumeSpec, in group: String) throws(DeviceError) -> UInt64? {
        guard let entry = entries[group], entry.isComplete else { return nil }
        let size = try spec.size.size(multipleOf: max(entry.group.extentSize, 1))
        return size <= room(in: entry, spec.parameters.provisioning) ? size : nil
    }

    mutating func promise(_ volume: Volume) {
        release(volume.id)
        promises[volume.id] = volume
        entries[volume.location]?.group.take(volume.size)
    }

    mutating func release(_ id: VolumeID) {
        guard let volume = promises.removeValue(forKey: id) else { return }
        entries[volume.location]?.group.free += volume.size
    }

    /// The size that the volume would grow to.
    ///
    /// Throws `outOfRange` and `notEnoughSpace`.
    func size(of volume: LogicalVolume, in group: String, grownTo range: SizeRange) throws(DeviceError) -> UInt64 {
        guard let entry = entries[group] else {
            throw DeviceError(.unavailable, "volume \(volume.name): its group \(group) is not here")
        }
        let size = try range.size(multipleOf: max(entry.group.extentSize, 1))
        let room = entry.isComplete ? room(in: entry, volume.pool == nil ? .thick : .thin) : 0
        guard size <= volume.size || size - volume.size <= room else {
            throw DeviceError(
                .notEnoughSpace,
                "volume \(volume.name) cannot grow from \(volume.size) to \(size) bytes: \(room) free in \(group)")
        }
        return size
    }

    /// The group with the least room that is enough, so that the largest possible volume stays possible.
    ///
    /// Throws `outOfRange` when no size of a group's extents lies within the limits.
    func bestFit(_ spec: VolumeSpec) throws(DeviceError) -> String? {
        var best: (room: UInt64, name: String)?
        for entry in entries.values where entry.mode == spec.parameters.mode {
            guard try size(of: spec, in: entry.group.name) != nil else { continue }
            let candidate = (room: room(in: entry, spec.parameters.provisioning), name: entry.group.name)
            guard let other = best, other < candidate else {
                best = candidate
                continue
            }
        }
        return best?.name
    }

    func noRoom(for spec: VolumeSpec, in group: String? = nil) -> DeviceError {
        let parameters = spec.parameters
        let free: UInt64
        if let group {
            free = entries[group].map { room(in: $0, parameters.provisioning) } ?? 0
        } else {
            free = capacity(for: parameters).maximumVolumeSize
        }
        let mode = parameters.mode?.rawValue ?? ""
        return DeviceError(
            .notEnoughSpace,
            "volume \(spec.id): \(spec.size.required) bytes asked for, \(parameters.provisioning.rawValue) in mode \(mode), "
                + "\(free) free in \(group ?? "the group with the most room")")
    }

    /// A record for every volume with our tags, from what those still say.
    func rebuiltRecords(_ tags: VolumeTags) -> [VolumeRecord] {
        entries.values.flatMap { entry in
            entry.group.logicalVolumes.filter(tags.isOurs).compactMap { volume in
                VolumeID(volume.name).map { id in
                    var parameters = VolumeParameters()
                    parameters.mode = entry.mode
                    parameters.eraseAfter = tags.eraseAfter(volume)
                    parameters.provisioning = volume.pool == nil ? .thick : .thin
                    let found = Volume(id: id, size: volume.size, location: entry.group.name)
                    return VolumeRecord(
                        adopting: found, name: "", parameters: parameters, kind: tags.kind(of: volume),
                        source: tags.source(of: volume))
                }
            }
        }
    }

    mutating func add(_ volume: Volume, tags: [String], provisioning: Provisioning, origin: String? = nil) {
        let isThin = provisioning == .thin
        let logical = LogicalVolume(
            name: volume.id.rawValue, size: volume.size, tags: tags, pool: isThin ? ThinProvisioning.poolName : nil,
            origin: origin)
        change(volume.location, takes: isThin ? 0 : Int64(volume.size), commits: isThin ? 2 : 1) {
            $0.append(logical)
        }
    }

    mutating func remove(_ volume: Volume) {
        guard let logical = logicalVolume(volume.id, in: volume.location) else { return }
        let isThin = logical.pool != nil
        change(volume.location, takes: isThin ? 0 : -Int64(logical.size), commits: isThin ? 2 : 1) { volumes in
            volumes.removeAll { $0.name == logical.name }
        }
    }

    mutating func resize(_ id: VolumeID, in group: String, to size: UInt64) {
        guard let logical = logicalVolume(id, in: group) else { return }
        change(group, takes: logical.pool == nil ? Int64(size) - Int64(logical.size) : 0, commits: 1) { volumes in
            for index in volumes.indices where volumes[index].name == id.rawValue { volumes[index].size = size }
        }
    }

    mutating func setTags(_ tags: [String], of id: VolumeID, in group: String) {
        change(group, takes: 0, commits: 1) { volumes in
            for index in volumes.indices where volumes[index].name == id.rawValue { volumes[index].tags = tags }
        }
    }

    /// What one run of lvm did: a wrong number of commits would only cost a report.
    private mutating func change(
        _ group: String, takes bytes: Int64, commits: UInt64, _ body: (inout [LogicalVolume]) -> Void
    ) {
        guard var changed = entries[group]?.group else { return }
        body(&changed.logicalVolumes)
        if bytes < 0 { changed.free += bytes.magnitude } else { changed.take(bytes.magnitude) }
        changed.sequenceNumber += commits
        entries[group]?.group = changed
    }

    /// Whether every group's sequence number on its devices is the one that is known; no `lvm` is run for it.
    func areCurrent() async -> Bool {
        let known = entries.values.compactMap { entry in
            entry.group.physicalVolumes.first { !$0.isMissing }.map { ($0.device, entry.group) }
        }
        let current = try? await blocking {
            try known.allSatisfy { device, group in
                let sequence = try MetadataSequence.read(device: device)
                return sequence.groupID == group.id && sequence.number == group.sequenceNumber
            }
        }
        return current ?? false
    }

    private static func mode(of group: VolumeGroup) -> NamespaceMode? {
        guard let mode = NamespaceMode.allCases.first(where: { group.tags.contains($0.rawValue) }) else { return nil }
        let isName = group.name.wholeMatch(of: /ndbus[0-9]+region[0-9]+(?<mode>fsdax|sector)/)
        return isName.map { String($0.mode) } == mode.rawValue ? mode : nil
    }
}

extension VolumeGroup {
    fileprivate mutating func take(_ bytes: UInt64) { free -= min(bytes, free) }
}
