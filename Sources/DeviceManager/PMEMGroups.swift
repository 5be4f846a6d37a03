import Host
import LVM

/// The volume groups of pmem-vgm as last reported, with the driver's own changes since applied.
///
/// A value owned by `LVMDeviceManager`; `areCurrent` proves against the devices that it still holds.
struct PMEMGroups: Sendable {
    private struct Entry {
        var group: VolumeGroup
        let mode: NamespaceMode

        /// LVM changes no group of which a physical volume is missing.
        var isComplete: Bool { !group.physicalVolumes.contains(where: \.isMissing) }
    }

    private var entries: [String: Entry] = [:]

    /// Takes those that pmem-vgm made: tagged with their mode, and named bus, region and mode.
    init(reported: [VolumeGroup]) {
        for group in reported {
            guard let mode = Self.mode(of: group) else { continue }
            entries[group.name] = Entry(group: group, mode: mode)
        }
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

    func capacity(mode: NamespaceMode?) -> Capacity {
        var capacity = Capacity()
        capacity.minimumVolumeSize = LVM.extentSize
        for entry in entries.values where entry.mode == mode && entry.isComplete {
            capacity.available += entry.group.free
            capacity.total += entry.group.size
            capacity.maximumVolumeSize = max(capacity.maximumVolumeSize, entry.group.free)
        }
        return capacity
    }

    /// What the volume would take in that group, if it has room; a group of older make may have other extents.
    func size(of spec: VolumeSpec, in group: String) throws(DeviceError) -> UInt64? {
        guard let entry = entries[group], entry.isComplete else { return nil }
        let size = try spec.size.size(multipleOf: max(entry.group.extentSize, 1))
        return size <= entry.group.free ? size : nil
    }

    /// The group with the least room that is enough, so that the largest possible volume stays possible.
    ///
    /// Throws `outOfRange` when no size of a group's extents lies within the limits.
    func bestFit(_ spec: VolumeSpec) throws(DeviceError) -> String? {
        var best: VolumeGroup?
        for entry in entries.values where entry.mode == spec.parameters.mode {
            guard try size(of: spec, in: entry.group.name) != nil else { continue }
            guard let other = best, (other.free, other.name) < (entry.group.free, entry.group.name) else {
                best = entry.group
                continue
            }
        }
        return best?.name
    }

    func noRoom(for spec: VolumeSpec) -> DeviceError {
        let largest = capacity(mode: spec.parameters.mode).maximumVolumeSize
        return DeviceError(
            .notEnoughSpace,
            "volume \(spec.id): \(spec.size.required) bytes asked for in mode \(spec.parameters.mode?.rawValue ?? ""), \(largest) free in the "
                + "group with the most room")
    }

    /// A record for every volume with our tags, from what those still say.
    func rebuiltRecords(_ tags: VolumeTags) -> [VolumeRecord] {
        entries.values.flatMap { entry in
            entry.group.logicalVolumes.filter(tags.isOurs).compactMap { volume in
                VolumeID(volume.name).map { id in
                    var parameters = VolumeParameters()
                    parameters.mode = entry.mode
                    parameters.eraseAfter = tags.eraseAfter(volume)
                    let found = Volume(id: id, size: volume.size, location: entry.group.name)
                    return VolumeRecord(adopting: found, name: "", parameters: parameters)
                }
            }
        }
    }

    mutating func add(_ volume: Volume, tags: [String]) {
        let logical = LogicalVolume(
            name: volume.id.rawValue, id: "", size: volume.size, tags: tags, isActive: true, pool: nil, origin: nil)
        entries[volume.location]?.group.logicalVolumes.append(logical)
        entries[volume.location]?.group.free -= volume.size
        entries[volume.location]?.group.sequenceNumber += 1
    }

    mutating func remove(_ volume: Volume) {
        entries[volume.location]?.group.logicalVolumes.removeAll { $0.name == volume.id.rawValue }
        entries[volume.location]?.group.free += volume.size
        entries[volume.location]?.group.sequenceNumber += 1
    }

    mutating func setTags(_ tags: [String], of id: VolumeID, in group: String) {
        guard let index = entries[group]?.group.logicalVolumes.firstIndex(where: { $0.name == id.rawValue }) else {
            return
        }
        entries[group]?.group.logicalVolumes[index].tags = tags
        entries[group]?.group.sequenceNumber += 1
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
