import CBlkid
import Glibc

/// What a device's content looks like to libblkid.
package enum Signature: Sendable, Hashable {
    case nothing
    case filesystem(String)
    /// A partition table, an LVM physical volume, an encrypted volume, swap and the like, by libblkid's name.
    case other(String)
    /// Traces of more than one thing: not blank, and not to be trusted as any of them.
    case ambiguous
}

extension Filesystem {
    /// Asks the device itself, never libblkid's cache. A superblock with a wrong checksum counts as that file system:
    /// damaged data is not a blank device.
    package static func probe(_ device: BlockDevice) throws(HostError) -> Signature {
        _ = try device.sizeAboveZero(of: try device.opened(O_RDONLY))
        guard let probe = blkid_new_probe_from_filename(device.path) else {
            throw .system(errno, "probe device \(device.path)")
        }
        defer { blkid_free_probe(probe) }
        blkid_probe_enable_superblocks(probe, 1)
        blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_BADCSUM)
        blkid_probe_enable_partitions(probe, 1)
        errno = 0
        return switch blkid_do_safeprobe(probe) {
        case 0: signature(type: value("TYPE", probe), usage: value("USAGE", probe), table: value("PTTYPE", probe))
        case 1: .nothing
        case -2: .ambiguous
        default: throw .system(errno == 0 ? EIO : errno, "read signatures of device \(device.path)")
        }
    }

    private static func signature(type: String?, usage: String?, table: String?) -> Signature {
        switch (type, table) {
        case (_?, _?): .ambiguous
        case (let type?, nil): usage == "filesystem" ? .filesystem(type) : .other(type)
        case (nil, let table): .other(table.map { "partition table \($0)" } ?? "unknown")
        }
    }

    private static func value(_ name: String, _ probe: blkid_probe) -> String? {
        var text: UnsafePointer<CChar>?
        guard blkid_probe_lookup_value(probe, name, &text, nil) == 0, let text else { return nil }
        return String(cString: text)
    }
}
