/// What one namespace was when it was looked at. A value: names the device, keeps nothing of libndctl's.
package struct Namespace: Sendable, Hashable {
    /// How a namespace presents its memory. The raw values are those of the `ndctl` command.
    package enum Mode: String, Sendable, Hashable, CaseIterable {
        case fsdax, sector, devdax, raw
        /// The kernel said something that this version does not know.
        case unknown
    }

    /// As in `namespace0.0`; what the verbs of `Ndctl` take.
    package let devname: String
    /// The name in the labels, by which its owner knows it; empty if it has none.
    package let alternateName: String
    /// For an inactive one what it was made for, as far as the labels tell.
    package let mode: Mode
    /// What the block device offers: without page map and BTT.
    package let size: UInt64
    /// What it takes from its region.
    package let rawSize: UInt64
    /// Start of its physical addresses; nil if unknown (only root sees it).
    package let resource: UInt64?
    package let isActive: Bool
    /// As in `pmem0`, below /dev; nil if there is none (inactive, devdax).
    package let blockDevice: String?
    /// Lower case, with dashes; nil if it has none.
    package let uuid: String?
    package let sectorSize: UInt32

    package init(
        devname: String, alternateName: String, mode: Mode, size: UInt64, rawSize: UInt64, resource: UInt64?,
        isActive: Bool, blockDevice: String?, uuid: String?, sectorSize: UInt32
    ) {
        self.devname = devname
        self.alternateName = alternateName
        self.mode = mode
        self.size = size
        self.rawSize = rawSize
        self.resource = resource
        self.isActive = isActive
        self.blockDevice = blockDevice
        self.uuid = uuid
        self.sectorSize = sectorSize
    }
}

/// A namespace to be created.
package struct NamespaceRequest: Sendable, Hashable {
    /// Where the kernel keeps its data about each page of an fsdax namespace.
    package enum PageMap: Sendable, Hashable {
        /// In the namespace: 64 bytes per 4 KiB.
        case device
        /// In the machine's ordinary memory.
        case memory
    }

    /// At most 63 bytes, and not empty.
    package let name: String
    /// `.fsdax` or `.sector`.
    package let mode: Namespace.Mode
    /// Raw size; rounded up to the region's alignment, 0 is one unit of it.
    package let size: UInt64
    package let pageMap: PageMap

    package init(name: String, mode: Namespace.Mode, size: UInt64, pageMap: PageMap = .device) {
        self.name = name
        self.mode = mode
        self.size = size
        self.pageMap = pageMap
    }
}
