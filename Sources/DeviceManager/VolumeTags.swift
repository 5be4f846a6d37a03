import LVM

/// The tags on our logical volumes: driver, hash of the CSI name, erase flag, what it is and what it was copied from.
///
/// They are what is left to rebuild a record from when the state directory was lost.
struct VolumeTags: Sendable {
    let driver: String
    /// On what becomes a thin pool; the pool itself has none.
    let pool: String

    init(driver name: String) {
        driver = "csi.driver=\(name)"
        pool = "csi.pool=\(name)"
    }

    func tags(of spec: VolumeSpec) -> [String] {
        var tags = [
            driver, "csi.name=\(VolumeID.hash(spec.name, digits: 32))",
            eraseAfter(spec.parameters.eraseAfter),
        ]
        switch (spec.kind, spec.source) {
        case (.snapshot, let source?): tags.append("\(Self.snapshotKey)\(source.id)")
        case (_, .volume(let id)?): tags.append("\(Self.cloneKey)\(id)")
        case (_, .snapshot(let id)?): tags.append("\(Self.restoreKey)\(id)")
        case (_, nil): break
        }
        if spec.kind == .ephemeral { tags.append(Self.ephemeral) }
        return tags
    }

    static let eraseKey = "csi.eraseafter="
    private static let snapshotKey = "csi.snapshot="
    private static let cloneKey = "csi.clone="
    private static let restoreKey = "csi.restore="
    private static let ephemeral = "csi.ephemeral"

    func eraseAfter(_ value: Bool) -> String { "\(Self.eraseKey)\(value)" }

    /// On unless the tag says otherwise: erasing too much is slow, erasing too little leaks data.
    func eraseAfter(_ volume: LogicalVolume) -> Bool { !volume.tags.contains(eraseAfter(false)) }

    func isOurs(_ volume: LogicalVolume) -> Bool { volume.tags.contains(driver) }

    func kind(of volume: LogicalVolume) -> VolumeRecord.Kind {
        if value(of: Self.snapshotKey, in: volume) != nil { return .snapshot }
        return volume.tags.contains(Self.ephemeral) ? .ephemeral : .volume
    }

    func source(of volume: LogicalVolume) -> VolumeRecord.Source? {
        if let id = value(of: Self.snapshotKey, in: volume) ?? value(of: Self.cloneKey, in: volume) {
            return .volume(id)
        }
        return value(of: Self.restoreKey, in: volume).map { .snapshot($0) }
    }

    private func value(of key: String, in volume: LogicalVolume) -> String? {
        volume.tags.first { $0.hasPrefix(key) }.map { String($0.dropFirst(key.count)) }
    }
}
