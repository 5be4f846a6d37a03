import Ndctl

/// Where a volume's record says that its namespace is, such as `region0/1f9d2c44a60b1122`: the region's name, and its
/// interleave set in hexadecimal digits.
///
/// The kernel numbers regions as it finds them: where DIMMs were taken out, another one may have the name. Records of
/// earlier versions have the name alone, until the driver sees their namespaces.
struct RegionLocation {
    /// For people, where the set is known.
    let devname: String
    let interleaveSet: UInt64?

    init(devname: String, interleaveSet: UInt64?) {
        self.devname = devname
        self.interleaveSet = interleaveSet
    }

    init(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1)
        devname = parts.first.map(String.init) ?? ""
        interleaveSet = parts.count == 2 ? UInt64(parts[1], radix: 16) : nil
    }

    var text: String { devname + (interleaveSet.map { "/" + String($0, radix: 16) } ?? "") }

    func isOf(_ region: Region) -> Bool {
        interleaveSet.map { $0 == region.interleaveSet } ?? (devname == region.devname)
    }
}
