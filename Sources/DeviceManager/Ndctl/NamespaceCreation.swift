import CNdctl

/// The steps that make one namespace out of a region's spare one, in the order that the kernel asks for. Used once,
/// within one context; when a step fails after the namespace has its size, it is deleted again.
struct NamespaceCreation {
    private let request: NamespaceRequest
    private let region: OpaquePointer
    private let facts: Region

    init(_ request: NamespaceRequest, in region: OpaquePointer) {
        self.request = request
        self.region = region
        self.facts = Region(reading: region)
    }

    /// The device name of the new namespace.
    func run() throws(NdctlError) -> String {
        try Self.checkName(request.name)
        try checkRegion()
        let size = try alignedSize()
        let namespace = try spareNamespace()
        let devname = Context.text(ndctl_namespace_get_devname(namespace))
        // Until it has its size it is not ours, and by now it may be another program's: nothing to undo. Of a size that
        // was set and not written to the labels the caller gets rid by name, as of what a kill leaves.
        if let failure = attempt({ () throws(NdctlError) in try reserve(namespace, devname, size) }) {
            throw failed(failure, size)
        }
        let failure = attempt { () throws(NdctlError) in
            try configure(namespace, devname)
            try Ndctl.enable(namespace, devname)
        }
        guard let failure else { return devname }
        throw failed(failure, size, attempt { () throws(NdctlError) in try Ndctl.delete(namespace, devname) })
    }

    private func failed(_ failure: NdctlError, _ size: UInt64, _ undoing: NdctlError? = nil) -> NdctlError {
        let what = "cannot create a namespace of \(size) bytes in \(facts.devname): \(failure.message)"
        return NdctlError(failure.code, what, errno: failure.errno, cause: undoing)
    }

    /// The label has room for 63 bytes and the terminator.
    static func checkName(_ name: String) throws(NdctlError) {
        guard !name.isEmpty, name.utf8.count < 64, !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "\n"))
        else {
            throw NdctlError(.invalidArgument, "\"\(name)\" is no name for a namespace: 1 to 63 bytes in one line")
        }
    }

    private func checkRegion() throws(NdctlError) {
        guard request.mode == .fsdax || request.mode == .sector else {
            throw NdctlError(.invalidArgument, "cannot create namespaces of mode \(request.mode.rawValue)")
        }
        if let obstacle = facts.obstacle {
            // What is half made is somebody's, not ours to take, and may be gone the next time.
            throw NdctlError(facts.halfMade == nil ? .unsupported : .busy, obstacle)
        }
    }

    private func alignedSize() throws(NdctlError) -> UInt64 {
        let size = facts.alignedUp(max(request.size, 1)) ?? .max
        guard size <= facts.maxAvailableExtent else {
            throw NdctlError(
                .noSpace,
                "\(facts.devname) has no room for a namespace of \(size) bytes: the largest free extent has "
                    + "\(facts.maxAvailableExtent), \(facts.availableSize) are free in all")
        }
        return size
    }

    private func spareNamespace() throws(NdctlError) -> OpaquePointer {
        guard let namespace = ndctl_region_get_namespace_seed(region) else {
            throw NdctlError(.failed, "\(facts.devname) has no spare namespace: has it free labels?")
        }
        return namespace
    }

    /// The size comes last: it writes the label, so no label of ours is ever without our name, whenever we die.
    private func reserve(_ namespace: OpaquePointer, _ devname: String, _ size: UInt64) throws(NdctlError) {
        var uuid = UUIDBytes.random()
        try check(ndctl_namespace_set_alt_name(namespace, request.name), "give \(devname) its name")
        try check(uuid.withPointer { ndctl_namespace_set_uuid(namespace, $0) }, "give \(devname) its UUID")
        try setSectorSize(namespace, devname)
        try check(ndctl_namespace_set_size(namespace, size), "give \(devname) its size")
    }

    private func setSectorSize(_ namespace: OpaquePointer, _ devname: String) throws(NdctlError) {
        let wanted: UInt32 = request.mode == .sector ? 4096 : 512
        let count = ndctl_namespace_get_num_sector_sizes(namespace)
        let supported = (0..<max(count, 0)).map { ndctl_namespace_get_supported_sector_size(namespace, $0) }
        guard supported.contains(wanted) else {
            throw NdctlError(.unsupported, "\(devname) has no sectors of \(wanted) bytes, only of \(supported)")
        }
        try check(ndctl_namespace_set_sector_size(namespace, wanted), "give \(devname) its sector size")
    }

    private func configure(_ namespace: OpaquePointer, _ devname: String) throws(NdctlError) {
        if request.mode == .sector {
            try check(
                ndctl_namespace_set_enforce_mode(namespace, NDCTL_NS_MODE_SECTOR), "set the mode of \(devname)")
            try makeBTT(namespace, devname)
        } else {
            try check(
                ndctl_namespace_set_enforce_mode(namespace, NDCTL_NS_MODE_FSDAX), "set the mode of \(devname)")
            try makePFN(namespace, devname)
        }
    }

    private func makePFN(_ namespace: OpaquePointer, _ devname: String) throws(NdctlError) {
        guard let pfn = ndctl_region_get_pfn_seed(region) else {
            throw NdctlError(.unsupported, "\(facts.devname) cannot have fsdax namespaces: it has no pfn seed")
        }
        var uuid = UUIDBytes.random()
        let location = request.pageMap == .device ? NDCTL_PFN_LOC_PMEM : NDCTL_PFN_LOC_RAM
        try check(uuid.withPointer { ndctl_pfn_set_uuid(pfn, $0) }, "give the page map of \(devname) its UUID")
        try check(ndctl_pfn_set_location(pfn, location), "place the page map of \(devname)")
        if ndctl_pfn_has_align(pfn) != 0 {
            try check(ndctl_pfn_set_align(pfn, UInt(Region.defaultPFNAlign)), "align the page map of \(devname)")
        }
        try check(ndctl_pfn_set_namespace(pfn, namespace), "connect the page map of \(devname)")
        let enabled = ndctl_pfn_enable(pfn)
        if enabled < 0 {
            ndctl_pfn_set_namespace(pfn, nil)
        }
        try check(enabled, "enable \(devname) as fsdax (the kernel's log may say more)")
    }

    private func makeBTT(_ namespace: OpaquePointer, _ devname: String) throws(NdctlError) {
        guard let btt = ndctl_region_get_btt_seed(region) else {
            throw NdctlError(.unsupported, "\(facts.devname) cannot have sector namespaces: it has no btt seed")
        }
        var uuid = UUIDBytes.random()
        try check(uuid.withPointer { ndctl_btt_set_uuid(btt, $0) }, "give the BTT of \(devname) its UUID")
        try check(ndctl_btt_set_sector_size(btt, 4096), "set the sector size of the BTT of \(devname)")
        try check(ndctl_btt_set_namespace(btt, namespace), "connect the BTT of \(devname)")
        let enabled = ndctl_btt_enable(btt)
        if enabled < 0 {
            ndctl_btt_set_namespace(btt, nil)
        }
        try check(enabled, "enable \(devname) as sector (the kernel's log may say more)")
    }
}
