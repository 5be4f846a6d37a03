/// Thin pools, and the volumes that take their space from one as they are written.
extension LVM {
    /// What a pool hands out, and copies when a volume that shares it with a snapshot writes to it. The smallest that
    /// dm-thin has costs the least per such write; a larger one would only keep the pool's own tables smaller.
    package static let chunkSize: UInt64 = 64 << 10

    /// Where Debian has the program that LVM runs over a pool's tables whenever it activates the pool.
    package static let thinCheck = "/usr/sbin/thin_check"

    /// Makes a pool, which gets the name of `data`, of two volumes of the group. `lvcreate` would do it in one run, but
    /// killed half-way it leaves volumes without tags and with names that say nothing; so would the spare volume for
    /// repairs, which is why there is none.
    ///
    /// New chunks are zeroed, so no volume ever shows what another left. Discards end in the pool: PMEM takes none.
    package func convertToPool(group: String, data: String, tables: String) async throws(LVMError) {
        try await run([
            "lvconvert", "-y", "--type", "thin-pool", "-Zy", "--discards", "nopassdown",
            "--poolmetadataspare", "n", "--chunksize", "\(Self.chunkSize)b", "--poolmetadata", "\(group)/\(tables)",
            "\(group)/\(data)",
        ])
    }

    /// Makes and activates a volume that takes its space from the pool. It reads as zeroes.
    package func createThinVolume(
        group: String, pool: String, name: String, size: UInt64, tags: [String]
    ) async throws(LVMError) {
        try await run(
            ["lvcreate", "-y", "--type", "thin", "-V", "\(size)b", "--thinpool", pool, "-n", name] + added(tags)
                + [group])
    }

    /// Makes and activates a writable copy of a thin volume as it is at one moment, also while that is mounted: the
    /// kernel holds its file system for the change of the table. `-kn`: activated like any other volume.
    package func createSnapshot(
        group: String, origin: String, name: String, tags: [String]
    ) async throws(LVMError) {
        try await run(["lvcreate", "-y", "-s", "-kn", "-n", name] + added(tags) + ["\(group)/\(origin)"])
    }

    /// Removes a pool unless something is in it; lvm itself compares, under its lock on the group. Without that
    /// condition it would remove all volumes of the pool with it.
    package func removeEmptyPool(group: String, name: String) async throws(LVMError) {
        try await run(["lvremove", "-f", "-y", "--select", "thin_count=0", "\(group)/\(name)"])
    }
}
