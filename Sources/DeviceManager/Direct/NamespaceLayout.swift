package import Ndctl

/// How much of a namespace its block device offers: what the kernel takes for its page map or BTT, computed.
///
/// It serves to choose a size and to tell what there is room for; what a volume has in the end, the kernel says.
package struct NamespaceLayout: Sendable, Equatable {
    package let mode: NamespaceMode
    package let pageMap: PageMap

    package init(_ parameters: VolumeParameters) {
        mode = parameters.mode ?? .fsdax
        pageMap = parameters.namespace?.pageMap ?? .dev
    }

    /// Usable bytes of a namespace of `raw` bytes; 0 where that is too small to be one.
    package func usable(ofRaw raw: UInt64) -> UInt64 {
        switch mode {
        case .fsdax: Self.behindPageMap(raw, pageMap)
        case .sector: Self.inArenas(raw)
        }
    }

    /// The size of the smallest namespace that offers `usable` bytes, a multiple of the region's alignment; nil where no
    /// number is so large.
    package func raw(forUsable usable: UInt64, in region: Region) -> UInt64? {
        guard var raw = region.alignedUp(Swift.max(usable, 1)) else { return nil }
        while self.usable(ofRaw: raw) < Swift.max(usable, 1) {
            let missing = Swift.max(usable, 1) - self.usable(ofRaw: raw)
            guard let step = region.alignedUp(missing) else { return nil }
            let (sum, overflow) = raw.addingReportingOverflow(step)
            guard !overflow else { return nil }
            raw = sum
        }
        return raw
    }
}

// linux/drivers/nvdimm/pfn_devs.c, nd_pfn_init.
extension NamespaceLayout {
    private static let pageSize: UInt64 = 4096
    /// MAX_STRUCT_PAGE_SIZE.
    private static let bytesPerPage: UInt64 = 64
    private static let pfnHeader: UInt64 = 8 << 10
    private static let dataAlign = Region.defaultPFNAlign

    private static func behindPageMap(_ raw: UInt64, _ pageMap: PageMap) -> UInt64 {
        guard raw > pfnHeader else { return 0 }
        let map = pageMap == .dev ? (raw - pfnHeader) / pageSize * bytesPerPage : 0
        // At most a sixty-fourth of 64 bits and a little: no overflow.
        let offset = (pfnHeader + map + dataAlign - 1) / dataAlign * dataAlign
        return raw > offset ? raw - offset : 0
    }
}

// linux/drivers/nvdimm/btt.c, create_arenas and alloc_arena.
extension NamespaceLayout {
    private static let header: UInt64 = 4096
    private static let smallestArena: UInt64 = 16 << 20
    private static let largestArena: UInt64 = 512 << 30
    private static let sectorSize: UInt64 = 4096
    /// Of each arena: sectors that are free for the next writes, its log, its info block and the copy of that.
    private static let spareSectors: UInt64 = 256
    private static let log: UInt64 = 16 << 10
    private static let infoBlocks: UInt64 = 2 * 4096
    private static let mapEntry: UInt64 = 4

    private static func inArenas(_ raw: UInt64) -> UInt64 {
        guard raw >= header + smallestArena else { return 0 }
        let (full, rest) = (raw - header).quotientAndRemainder(dividingBy: largestArena)
        let last = rest >= smallestArena ? sectors(inArena: rest) : 0
        return (full * sectors(inArena: largestArena) + last) * sectorSize
    }

    private static func sectors(inArena size: UInt64) -> UInt64 {
        let available = size / pageSize * pageSize - infoBlocks - log
        return (available - pageSize) / (sectorSize + mapEntry) - spareSectors
    }
}
