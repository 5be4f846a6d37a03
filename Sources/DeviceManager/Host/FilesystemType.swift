/// The file systems that volumes are formatted with.
package enum FilesystemType: String, Sendable, CaseIterable {
    case ext4
    case xfs

    package init(name: String) throws(HostError) {
        guard let type = Self(rawValue: name) else {
            let supported = Self.allCases.map(\.rawValue).joined(separator: ", ")
            throw HostError(.invalidArgument, "file system \"\(name)\" is not supported; supported are \(supported)")
        }
        self = type
    }

    /// Smaller devices are refused by mkfs.
    package var minimumSize: UInt64 {
        switch self {
        case .ext4: 1 << 20
        case .xfs: 300 << 20
        }
    }

    var program: String { "mkfs.\(rawValue)" }

    var debianPackage: String {
        switch self {
        case .ext4: "e2fsprogs"
        case .xfs: "xfsprogs"
        }
    }

    /// DAX needs blocks of the page size; extents in multiples of 2 MiB let it map huge pages. No discard: persistent
    /// memory refuses it, and elsewhere it only costs time.
    func arguments(for device: String, size: UInt64) -> [String] {
        switch self {
        case .ext4:
            // One -F: mkfs.ext4 then still refuses a mounted device. The inode tables are zeroed after the first
            // mount; the journal is not left for later, because an old one could be replayed after a crash.
            [
                "-F", "-q", "-b", "4096", "-m", "0", "-E",
                "stride=512,stripe_width=512,nodiscard,lazy_itable_init=1,lazy_journal_init=0", device,
            ]
        case .xfs:
            // Many kernels refuse DAX together with reflinks. The stripe unit makes mkfs.xfs cut a small device into
            // more groups than its log fits in.
            [
                "-f", "-K", "-q", "-b", "size=4096", "-m", "reflink=0", "-d",
                size < 1 << 30 ? "su=2m,sw=1,agcount=4" : "su=2m,sw=1", device,
            ]
        }
    }
}
