import LVM

// Thin pools, one in each group that has thin volumes.
extension PMEMGroups {
    func pool(in group: String) -> LogicalVolume? {
        entries[group]?.group.pool
    }

    /// The groups whose pool holds nothing any more.
    var groupsWithEmptyPool: [String] {
        entries.values.filter { $0.isComplete && $0.group.pool != nil && $0.group.thinVolumes.isEmpty }
            .map(\.group.name).sorted()
    }

    /// What was to become a pool when a creation was cut off.
    func unfinishedPools(_ tags: VolumeTags) -> [(group: String, name: String)] {
        logicalVolumes.filter { _, volume in
            let isPart = [ThinProvisioning.poolName, ThinProvisioning.tablesName].contains(volume.name)
            return isPart && !volume.isPool && volume.tags.contains(tags.pool)
        }.map { ($0.group, $0.volume.name) }
    }

    func poolPlan(in group: String) -> ThinProvisioning.Plan? {
        guard let group = entries[group]?.group else { return nil }
        return thin.plan(free: group.free, extent: group.extentSize)
    }

    /// What all volumes of the group's pool may be together, the pool that it would get included.
    func thinLimit(_ group: VolumeGroup) -> UInt64 {
        let size = group.pool?.size ?? thin.plan(free: group.free, extent: group.extentSize)?.data ?? 0
        let extent = max(group.extentSize, 1)
        return thin.limit(ofPool: size) / extent * extent
    }
}

extension VolumeGroup {
    var pool: LogicalVolume? {
        volume(ThinProvisioning.poolName).flatMap { $0.isPool ? $0 : nil }
    }

    /// Whoever made them: all of them take their space from the pool.
    var thinVolumes: [LogicalVolume] { logicalVolumes.filter { $0.pool == ThinProvisioning.poolName } }

    /// Room for volumes that are provisioned so, the sizes of thin ones counted in full.
    func room(_ provisioning: Provisioning, thinLimit: UInt64) -> UInt64 {
        switch provisioning {
        case .thick: return free
        case .thin:
            let used = thinVolumes.reduce(0) { $0 + $1.size }
            return thinLimit > used ? thinLimit - used : 0
        }
    }
}
