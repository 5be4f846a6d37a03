import LVM

/// The tags on our logical volumes: driver, hash of the CSI name and erase flag.
///
/// They are what is left to rebuild a record from when the state directory was lost.
struct VolumeTags: Sendable {
    let driver: String

    init(driver name: String) { driver = "csi.driver=\(name)" }

    func tags(of spec: VolumeSpec) -> [String] {
        [
            driver, "csi.name=\(VolumeID.hash(spec.name, digits: 32))",
            eraseAfter(spec.parameters.eraseAfter),
        ]
    }

    static let eraseKey = "csi.eraseafter="

    func eraseAfter(_ value: Bool) -> String { "\(Self.eraseKey)\(value)" }

    /// On unless the tag says otherwise: erasing too much is slow, erasing too little leaks data.
    func eraseAfter(_ volume: LogicalVolume) -> Bool { !volume.tags.contains(eraseAfter(false)) }

    func isOurs(_ volume: LogicalVolume) -> Bool { volume.tags.contains(driver) }
}
