import Host
import LVM

/// The volume groups of pmem-vgm as last reported, with the driver's own changes since applied.
///
/// A value owned by `LVMDeviceManager`; `areCurrent` proves against the devices that it still holds.
struct PMEMGroups: Sendable {
    private struct Entry {
        var group: VolumeGroup
        let mode: NamespaceMode
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

    func find(_ id: VolumeID) -> Volume? { find(name: id.rawValue) }

    func find(name: String) -> Volume? {
        guard let id = VolumeID(name) else { return nil }
        for (group, entry) in entries {
            if let volume = entry.group.volume(name) { return Volume(id: id, size: volume.size, location: group) }
        }
        return nil
    }

    func capacity(mode: NamespaceMode) -> Capacity {
        var capacity = Capacity()
        capacity.minimumVolumeSize = LVM.extentSize
        for entry in entries.values where entry.mode == mode {
            capacity.available += entry.group.free
            capacity.total += entry.group.size
            capacity.maximumVolumeSize = max(capacity.maximumVolumeSize, entry.group.free)
        }
        return capacity
    }

    /// The group with the least room that is enough, so that the largest possible volume stays possible.
    func bestFit(_ size: UInt64, mode: NamespaceMode) -> String? {
        entries.values.filter { $0.mode == mode && $0.group.free >= size }
            .min { ($0.group.free, $0.group.name) < ($1.group.free, $1.group.name) }?.group.name
    }

    func noRoom(for spec: VolumeSpec, size: UInt64) -> DeviceError {
        let largest = capacity(mode: spec.parameters.mode).maximumVolumeSize
        return DeviceError(
            .notEnoughSpace,
            "volume \(spec.id): \(size) bytes asked for in mode \(spec.parameters.mode.rawValue), \(largest) free in the "
                + "group with the most room")
    }

    /// A record for every volume with our tags, from what those still say.
    func rebuiltRecords(_ tags: VolumeTags) -> [VolumeRecord] {
        entries.values.flatMap { entry in
            entry.group.logicalVolumes.filter(tags.isOurs).compactMap { volume in
                find(name: volume.name).map { found in
                    var parameters = VolumeParameters()
                    parameters.mode = entry.mode
                    parameters.eraseAfter = tags.eraseAfter(volume)
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
