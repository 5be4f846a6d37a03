package import Ndctl

/// The room that one region has for namespaces of one layout: pure, from the region's facts.
package struct RegionSpace: Sendable {
    package let region: Region
    private let layout: NamespaceLayout

    package init(_ region: Region, _ layout: NamespaceLayout) {
        self.region = region
        self.layout = layout
    }

    /// The free pieces that a namespace fits into, by address, in whole alignment units.
    package var pieces: [UInt64] {
        guard region.obstacle == nil else { return [] }
        return region.freeExtents.map(region.alignedDown).filter { $0 > 0 }
    }

    /// Usable bytes of the largest volume that can be made now, which has to be in one piece.
    package var maximum: UInt64 { pieces.map(layout.usable(ofRaw:)).max() ?? 0 }

    /// Usable bytes of the volumes that would fill all pieces.
    package var available: UInt64 { pieces.map(layout.usable(ofRaw:)).reduce(0, +) }

    /// Usable bytes of the smallest volume; nil where there is none.
    package var minimum: UInt64? { layout.raw(forUsable: 1, in: region).map(layout.usable(ofRaw:)) }

    /// Usable bytes of the region, were it empty.
    package var total: UInt64 { region.obstacle == nil ? layout.usable(ofRaw: region.alignedDown(region.size)) : 0 }

    /// The raw size of a volume with at least so many usable bytes.
    ///
    /// Throws `outOfRange` where every namespace of the region has less than that or more than the limit.
    package func raw(for size: SizeRange) throws(DeviceError) -> UInt64 {
        guard let raw = layout.raw(forUsable: size.required, in: region) else {
            throw DeviceError(
                .outOfRange, "capacity_range: required_bytes \(size.required) is more than any region has")
        }
        let usable = layout.usable(ofRaw: raw)
        guard size.contains(usable) else {
            throw DeviceError(
                .outOfRange,
                "capacity_range: namespaces in \(region.devname) are multiples of \(region.alignment) bytes, so a volume "
                    + "of \(size.required) has \(usable), more than limit_bytes \(size.limit ?? 0)")
        }
        return raw
    }

    /// What stays of the piece that the kernel gives to a namespace of `raw` bytes, which is the first that is large
    /// enough; nil where none is.
    package func waste(ofRaw raw: UInt64) -> UInt64? {
        pieces.first { $0 >= raw }.map { $0 - raw }
    }

    /// For messages: how much is free, in how many pieces.
    package var summary: String {
        if let obstacle = region.obstacle { return obstacle }
        let pieces = pieces
        guard pieces.count > 1 else { return "\(region.devname): \(maximum) bytes" }
        return "\(region.devname): \(available) bytes in \(pieces.count) pieces, of which the largest has \(maximum)"
    }
}
