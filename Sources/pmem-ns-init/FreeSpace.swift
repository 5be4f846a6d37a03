import Ndctl
import Program

/// The free extents of a region while a plan is made: gives space away as the kernel does, from the lowest address
/// that fits, in whole alignment units, and never less than the smallest useful namespace.
struct FreeSpace {
    private let region: Region
    private let smallest: UInt64
    private var extents: [UInt64]

    init(_ region: Region) {
        self.region = region
        smallest = region.alignedUp(NamespacePlan.smallest) ?? .max
        extents = region.freeExtents.map(region.alignedDown)
    }

    /// Without what alignment makes useless.
    var free: UInt64 { extents.reduce(0, +) }

    /// The size of the next namespace, of which at most `remaining` may be used; nil if none fits any more.
    mutating func take(upTo wanted: UInt64, of remaining: UInt64) -> UInt64? {
        let index = extents.firstIndex { $0 >= smallest }
        guard let index, remaining >= smallest else { return nil }
        let size = min(max(region.alignedDown(wanted), smallest), extents[index])
        extents[index] -= size
        return size
    }

    /// Why `unused` bytes of a mode's share are not taken.
    func reason(unused: UInt64) -> String {
        if unused < region.alignment {
            return "less than the alignment of \(ByteCount(region.alignment))"
        }
        if unused < smallest {
            return "less than the smallest namespace of \(ByteCount(smallest))"
        }
        return free == 0
            ? "other namespaces have the rest of the region"
            : "the \(ByteCount(free)) that other namespaces leave are in pieces below \(ByteCount(smallest))"
    }
}
