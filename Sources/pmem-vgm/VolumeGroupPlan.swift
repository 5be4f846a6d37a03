import LVM

/// What is on the device of a namespace that no volume group is reported to hold.
enum DeviceContents: Equatable {
    case blank
    /// An LVM physical volume.
    case label(PhysicalVolumeLabel)
    /// Anything else that is known by its signature, a file system say.
    case signature(String)
    case unreadable(String)
}

/// The namespace whose device belongs into the group.
struct Member: Equatable {
    let namespace: String
    /// As in `/dev/pmem0`, without links.
    let device: String
}

/// What has to be done so that one volume group holds its namespaces: pure, from what lvm reports and what is on the
/// devices. Owned by one run; it never plans to wipe, shrink or take from another group.
struct VolumeGroupPlan: Equatable {
    enum Step: Equatable {
        /// Make a physical volume anew that a killed run of ours left.
        case recreate(device: String)
        case create(devices: [String])
        case extend(devices: [String])
        case addTag
    }

    /// What becomes of a namespace's device.
    enum Outcome: Equatable {
        case inPlace
        case added
        case foreign(group: String)
        case refused
    }

    let group: String
    let tag: String
    let members: [Member]
    /// One per member, in their order.
    private(set) var outcomes: [Outcome] = []
    private(set) var steps: [Step] = []
    /// What the operator should know; all that is planned can exist nevertheless.
    private(set) var warnings: [String] = []
    /// What keeps a namespace out of its group, or the group from working.
    private(set) var errors: [String] = []

    init(
        group: String, tag: String, members: [Member], report: LVM.Report, contents: [String: DeviceContents]
    ) {
        self.group = group
        self.tag = tag
        self.members = members
        let existing = report.groups.filter { $0.name == group }
        check(existing)
        for member in members {
            outcomes.append(outcome(of: member, report.groups, contents[member.device]))
        }
        let fresh = zip(members, outcomes).filter { $0.1 == .added }.map(\.0.device)
        // A group that lvm will not change as it is: nothing to plan before it is repaired.
        guard existing.count < 2, !existing.contains(where: \.isIncomplete) else { return }
        steps = fresh.filter { contents[$0].isMarkedUsed }.map { .recreate(device: $0) }
        if let current = existing.first {
            // The tag first: the driver finds groups by it, and it may be missing since a run was killed.
            if !current.tags.contains(tag) {
                steps.append(.addTag)
            }
            if !fresh.isEmpty {
                steps.append(.extend(devices: fresh))
            }
        } else if !fresh.isEmpty {
            steps.append(.create(devices: fresh))
        }
    }

    private mutating func check(_ groups: [VolumeGroup]) {
        if groups.count > 1 {
            let ids = groups.map(\.id).joined(separator: ", ")
            errors.append("\(groups.count) volume groups are named \(group) (\(ids)); rename all but one with vgrename")
        }
        for volume in groups.flatMap(\.physicalVolumes) {
            if volume.isMissing {
                errors.append(
                    "volume group \(group) misses the device of its physical volume \(volume.id): enable the region or"
                        + " namespace it was on, or give it up with vgreduce --removemissing")
                continue
            }
            warn(about: volume)
        }
    }

    /// Groups made by older programs work, with limits that cannot be changed while there is data in them.
    private mutating func warn(about volume: PhysicalVolume) {
        if volume.metadataSize < 16 << 20 {
            // The area holds the text that is in use and the one that follows it, of about 302 bytes per volume.
            let limit = volume.metadataSize / 2 / 302
            warnings.append(
                "volume group \(group) was made with a small metadata area on \(volume.device)"
                    + " (\(volume.metadataSize >> 10) KiB): it holds about \(limit) volumes")
        }
        if volume.dataStart % (2 << 20) != 0 {
            warnings.append(
                "volume group \(group): the data on \(volume.device) starts at byte \(volume.dataStart), no multiple"
                    + " of 2 MiB, so DAX cannot map huge pages")
        }
    }

    private mutating func outcome(
        of member: Member, _ groups: [VolumeGroup], _ contents: DeviceContents?
    ) -> Outcome {
        let place = "\(member.device) (\(member.namespace))"
        let owner = groups.first { $0.physicalVolumes.contains { $0.device == member.device } }
        if let owner {
            guard owner.name != group else { return .inPlace }
            warnings.append("\(place) belongs to volume group \(owner.name), not to \(group): left alone")
            return .foreign(group: owner.name)
        }
        switch contents {
        case .blank:
            return .added
        case .label(let label):
            return isOurs(label, place, groups) ? .added : .refused
        case .signature(let type):
            errors.append("\(place) carries \(type): left alone; if it is not needed: wipefs -a \(member.device)")
        case .unreadable(let reason):
            errors.append("\(place) cannot be examined: \(reason)")
        case nil:
            errors.append("\(place) was not examined")
        }
        return .refused
    }

    /// vgcreate writes labels, then the group's metadata, then commits it, so a killed run leaves physical volumes
    /// without a group. Such a one is ours when it has our geometry, which no default gives, and no other group's
    /// metadata was ever written to it: then nothing of anybody's can be lost, and lvm takes it into a group as it is.
    /// If it is marked as used, it must be proved that no group has it: ours is there without it, or was never made.
    private mutating func isOurs(_ label: PhysicalVolumeLabel, _ place: String, _ groups: [VolumeGroup]) -> Bool {
        let remedy = "left alone; if it is not needed, pvremove makes it free"
        let proved = !label.isMarkedUsed || groups.contains { $0.name == group } || (label.former?.number ?? 1) == 1
        if let sequence = label.sequence {
            let owner = sequence.group
            errors.append("\(place) has the LVM label of volume group \(owner), which lvm does not report: \(remedy)")
        } else if let former = label.former, former.group != group {
            errors.append("\(place) is an LVM physical volume that held volume group \(former.group) before: \(remedy)")
        } else if label.dataStart != LVM.dataStart {
            errors.append("\(place) is an LVM physical volume that pmem-vgm did not make: \(remedy)")
        } else if !proved {
            errors.append("\(place) is marked as used by volume group \(group), which lvm does not report: \(remedy)")
        } else {
            return true
        }
        return false
    }
}

extension VolumeGroupPlan.Step: CustomStringConvertible {
    var description: String {
        switch self {
        case .recreate(let device): "recreate physical volume \(device)"
        case .create(let devices): "create with \(devices.joined(separator: ", "))"
        case .extend(let devices): "extend by \(devices.joined(separator: ", "))"
        case .addTag: "add tag"
        }
    }
}

extension DeviceContents? {
    fileprivate var isMarkedUsed: Bool {
        if case .label(let label)? = self { label.isMarkedUsed } else { false }
    }
}

extension VolumeGroup {
    fileprivate var isIncomplete: Bool { physicalVolumes.contains(where: \.isMissing) }
}
