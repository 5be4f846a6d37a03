/// What one region was when it was looked at, with its namespaces. A value: names the device, keeps nothing of
/// libndctl's.
package struct Region: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case pmem
        case other(String)
    }

    /// As in `ndbus0`.
    package let bus: String
    package let busProvider: String
    /// As in `region0`; what the verbs of `Ndctl` take.
    package let devname: String
    package let id: UInt32
    package let kind: Kind
    package let size: UInt64
    /// Free, in one piece or many.
    package let availableSize: UInt64
    /// The largest free piece, and so the largest namespace.
    package let maxAvailableExtent: UInt64
    /// Start of its physical addresses; nil if unknown (only root sees it).
    package let resource: UInt64?
    /// The cookie of its interleave set, which DIMMs and labels decide: the same whatever number the kernel gives the
    /// region; nil if unknown.
    package let interleaveSet: UInt64?
    package let isEnabled: Bool
    package let isReadOnly: Bool
    /// Without labels it is one namespace for ever, which cannot have a name either.
    package let hasLabels: Bool
    package let interleaveWays: UInt32
    /// What the kernel asks of the start and size of a namespace; nil if it does not tell.
    package let regionAlign: UInt64?
    /// What a page map asks of the memory of each DIMM.
    package let pfnAlign: UInt64
    /// nil if unknown.
    package let numaNode: Int?
    /// The spare namespace, if somebody gave it a size and did not enable it: until then the kernel makes no other.
    package let halfMade: String?
    /// Those that have a size, by address; the kernel's idle spare one is left out.
    package let namespaces: [Namespace]

    package init(
        bus: String, busProvider: String = "", devname: String, id: UInt32 = 0, kind: Kind = .pmem, size: UInt64,
        availableSize: UInt64, maxAvailableExtent: UInt64, resource: UInt64? = nil, interleaveSet: UInt64? = nil,
        isEnabled: Bool = true, isReadOnly: Bool = false, hasLabels: Bool = true, interleaveWays: UInt32 = 1,
        regionAlign: UInt64?, pfnAlign: UInt64 = Region.defaultPFNAlign, numaNode: Int? = nil,
        halfMade: String? = nil, namespaces: [Namespace] = []
    ) {
        self.bus = bus
        self.busProvider = busProvider
        self.devname = devname
        self.id = id
        self.kind = kind
        self.size = size
        self.availableSize = availableSize
        self.maxAvailableExtent = maxAvailableExtent
        self.resource = resource
        self.interleaveSet = interleaveSet
        self.isEnabled = isEnabled
        self.isReadOnly = isReadOnly
        self.hasLabels = hasLabels
        self.interleaveWays = interleaveWays
        self.regionAlign = regionAlign
        self.pfnAlign = pfnAlign
        self.numaNode = numaNode
        self.halfMade = halfMade
        self.namespaces = namespaces
    }

    package static let defaultPFNAlign: UInt64 = 2 << 20
    /// Fits 1, 2, 3, 4 and 6 ways where the kernel does not tell its alignment.
    static let fallbackAlign: UInt64 = 96 << 20
}

extension Region {
    /// Why no namespace can be created in the region at all, and what to do about it; nil if one can.
    package var obstacle: String? {
        if !isEnabled {
            return "\(devname) is disabled; `ndctl enable-region \(devname)` enables it"
        }
        if case .other(let type) = kind {
            return "\(devname) is a region of type \(type), not pmem, and is not used"
        }
        if isReadOnly {
            return "\(devname) is read-only; `echo 0 > /sys/bus/nd/devices/\(devname)/read_only` ends that, if the "
                + "platform allows it"
        }
        if !hasLabels {
            return "\(devname) has no labels and cannot be divided into namespaces; if its NVDIMMs have a label area, "
                + "`ndctl disable-region \(devname)`, `ndctl init-labels` for them and `ndctl enable-region "
                + "\(devname)` prepare it (what is in it is lost)"
        }
        return halfMade.map { namespace in
            "\(namespace) in \(devname) is half made, as by another program: `ndctl enable-namespace \(namespace)` or, "
                + "where nobody needs it, `ndctl destroy-namespace \(namespace)` makes room for new ones"
        }
    }
}
