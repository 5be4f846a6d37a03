import CNdctl

extension Region {
    /// Reads everything; `pointer` belongs to the caller's context.
    init(reading pointer: OpaquePointer) {
        let bus = ndctl_region_get_bus(pointer)
        let available = ndctl_region_get_available_size(pointer)
        let extent = ndctl_region_get_max_available_extent(pointer)
        // Kernels before 4.19 do not tell the extent; both are unreadable while the region goes away.
        let availableSize = available == .max ? 0 : available
        let align = ndctl_region_get_align(pointer)
        let pfnSeed = ndctl_region_get_pfn_seed(pointer)
        let numaNode = ndctl_region_get_numa_node(pointer)
        let hasLabels = ndctl_region_get_nstype(pointer) == UInt32(ND_DEVICE_NAMESPACE_PMEM)
        self.init(
            bus: Context.text(ndctl_bus_get_devname(bus)),
            busProvider: Context.text(ndctl_bus_get_provider(bus)),
            devname: Context.text(ndctl_region_get_devname(pointer)),
            id: ndctl_region_get_id(pointer),
            kind: Self.kind(of: pointer),
            size: ndctl_region_get_size(pointer),
            availableSize: availableSize,
            maxAvailableExtent: extent == .max ? availableSize : extent,
            resource: Self.address(ndctl_region_get_resource(pointer)),
            interleaveSet: Self.interleaveSet(of: pointer),
            isEnabled: ndctl_region_is_enabled(pointer) > 0,
            isReadOnly: ndctl_region_get_ro(pointer) > 0,
            hasLabels: hasLabels,
            interleaveWays: ndctl_region_get_interleave_ways(pointer),
            regionAlign: align == .max ? nil : UInt64(align),
            pfnAlign: pfnSeed.map { UInt64(ndctl_pfn_get_align($0)) } ?? Self.defaultPFNAlign,
            numaNode: numaNode < 0 ? nil : Int(numaNode),
            // Without labels the only namespace stands in the spare one's place for ever.
            halfMade: hasLabels ? Self.halfMade(in: pointer) : nil,
            namespaces: Context.namespaces(of: pointer).map(Namespace.init(reading:)).filter { $0.rawSize > 0 }
                .sorted { ($0.resource ?? 0, $0.devname) < ($1.resource ?? 0, $1.devname) })
    }

    private static func kind(of pointer: OpaquePointer) -> Kind {
        guard ndctl_region_get_type(pointer) == UInt32(ND_DEVICE_REGION_PMEM) else {
            return .other(Context.text(ndctl_region_get_type_name(pointer)))
        }
        return .pmem
    }

    private static func halfMade(in pointer: OpaquePointer) -> String? {
        guard let spare = ndctl_region_get_namespace_seed(pointer),
            ndctl_namespace_is_active(spare) || ndctl_namespace_get_size(spare) > 0
        else { return nil }
        return Context.text(ndctl_namespace_get_devname(spare))
    }

    static func interleaveSet(of pointer: OpaquePointer) -> UInt64? {
        guard let set = ndctl_region_get_interleave_set(pointer) else { return nil }
        let cookie = ndctl_interleave_set_get_cookie(set)
        return cookie == 0 ? nil : cookie
    }

    static func address(_ value: UInt64) -> UInt64? {
        value == .max || value == 0 ? nil : value
    }
}

extension Namespace {
    /// Reads everything; `pointer` belongs to the caller's context.
    init(reading pointer: OpaquePointer) {
        let rawSize = ndctl_namespace_get_size(pointer)
        let mode = Namespace.Mode(ndctl_namespace_get_mode(pointer))
        let holder = Holder(of: pointer)
        let isActive = ndctl_namespace_is_active(pointer)
        let blockDevice = isActive ? holder.blockDevice : ""
        let (size, sectorSize) = holder.size(rawSize: rawSize)
        self.init(
            devname: Context.text(ndctl_namespace_get_devname(pointer)),
            alternateName: Context.text(ndctl_namespace_get_alt_name(pointer)),
            mode: mode, size: size, rawSize: rawSize,
            resource: Region.address(ndctl_namespace_get_resource(pointer)),
            isActive: isActive,
            blockDevice: blockDevice.isEmpty ? nil : blockDevice,
            uuid: UUIDBytes(of: pointer).text,
            sectorSize: sectorSize)
    }
}

/// The device that makes something of a namespace, and that its block device belongs to.
private enum Holder {
    case pfn(OpaquePointer)
    case btt(OpaquePointer)
    case dax(OpaquePointer)
    case none(OpaquePointer)

    init(of namespace: OpaquePointer) {
        if let pfn = ndctl_namespace_get_pfn(namespace) {
            self = .pfn(pfn)
        } else if let btt = ndctl_namespace_get_btt(namespace) {
            self = .btt(btt)
        } else if let dax = ndctl_namespace_get_dax(namespace) {
            self = .dax(dax)
        } else {
            self = .none(namespace)
        }
    }

    var blockDevice: String {
        switch self {
        case .pfn(let pointer): Context.text(ndctl_pfn_get_block_device(pointer))
        case .btt(let pointer): Context.text(ndctl_btt_get_block_device(pointer))
        case .dax: ""
        case .none(let pointer): Context.text(ndctl_namespace_get_block_device(pointer))
        }
    }

    /// Usable bytes and sector size. A holder that is not enabled does not know its size.
    func size(rawSize: UInt64) -> (UInt64, UInt32) {
        switch self {
        case .pfn(let pointer): (Self.known(ndctl_pfn_get_size(pointer)) ?? rawSize, 512)
        case .btt(let pointer):
            (Self.known(ndctl_btt_get_size(pointer)) ?? rawSize, ndctl_btt_get_sector_size(pointer))
        case .dax(let pointer): (Self.known(ndctl_dax_get_size(pointer)) ?? rawSize, 512)
        case .none: (rawSize, 512)
        }
    }

    private static func known(_ size: UInt64) -> UInt64? {
        size == 0 || size == .max ? nil : size
    }
}

extension Namespace.Mode {
    fileprivate init(_ mode: ndctl_namespace_mode) {
        switch mode {
        case NDCTL_NS_MODE_FSDAX: self = .fsdax
        case NDCTL_NS_MODE_SECTOR: self = .sector
        case NDCTL_NS_MODE_DEVDAX: self = .devdax
        case NDCTL_NS_MODE_RAW: self = .raw
        default: self = .unknown
        }
    }
}
