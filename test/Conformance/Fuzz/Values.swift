/// Values that programs get wrong: lengths at the limits, Unicode, paths that lead elsewhere, numbers at the edges.
///
/// No path leaves the work directory, whatever `..` and links it has: a driver that is wrong about one must not be able
/// to harm this machine.
struct Values: Sendable {
    var volumes: [String] = []
    var snapshots: [String] = []
    var nodes: [String] = []
    var paths: [String] = []

    private static let lengths = [0, 1, 127, 128, 129, 255, 256, 4095, 4096, 4097, 70_000]

    private static let texts = [
        "", " ", ".", "..", "../..", "/", "//", "a/b", "-", "--help", "\u{0}", "a\u{0}b", "\u{1}", "\u{7F}", "\u{85}",
        "\n", "\r\n", "\t", "e\u{301}", "\u{301}", "\u{202E}x", "\u{200D}", "\u{FEFF}", "\u{FFFF}", "\u{10FFFF}",
        "\u{1F468}\u{200D}\u{1F469}", "%s%n%d", "$(id)", "`id`", ";id", "'\"", "\\", "*", "null", "true", "0", "-1",
        "9223372036854775808", "1e309", "NaN", "ext4", "xfs", "btrfs", "ext4,xfs", "EXT4", "ro", "rw", "noatime",
        "dax", "dax=always", "remount", "bind", "loop=/dev/loop0", "X-mount.mkdir", "context=\"x\"", "uid=0",
    ]

    private static let keys = [
        "eraseafter", "eraseAfter", "nsmode", "provisioning", "size", "name", "csi.storage.k8s.io/ephemeral",
        "csi.storage.k8s.io/pvc/name", "storage.kubernetes.io/csiProvisionerIdentity", "kind", "fsType",
    ]

    func key(_ random: inout SplitMix64) -> [UInt8] { Array(random.pick(Self.keys, or: "").utf8) }

    func number(_ random: inout SplitMix64) -> UInt64 {
        let edges: [Int64] = [
            0, 1, -1, .max, .min, .max - 1, 1 << 60, 1 << 40, 4095, 4096, 4097, MiB - 1, MiB, MiB + 1, 4 * MiB,
            16 * MiB, 64 * MiB, Int64(Int32.max), Int64(Int32.min), Int64(Int32.max) + 1,
        ]
        return random.oneIn(4) ? random.next() : UInt64(bitPattern: random.pick(edges, or: 0))
    }

    func text(_ kind: Kind, _ random: inout SplitMix64) -> [UInt8] {
        let swap = random.oneIn(2)
        switch kind {
        case .volume where swap: return Array(random.pick(volumes + snapshots, or: "").utf8)
        case .snapshot where swap: return Array(random.pick(snapshots + volumes, or: "").utf8)
        case .node where swap: return Array(random.pick(nodes, or: "").utf8)
        case .path:
            if !random.oneIn(8) { return Array(random.pick(paths, or: "").utf8) }
            // Relative ones lead into the driver's own directory: nothing that climbs.
            return Array(random.pick(["", "relative", "./here", " ", "\u{0}", "\u{301}"], or: "").utf8)
        case .token where swap: return Array(random.pick(volumes, or: "").utf8)
        default: break
        }
        switch random.index(below: 4) {
        case 0: return filled(&random)
        // Not even UTF-8.
        case 1 where random.oneIn(8): return [0xC3, 0x28, 0xFF]
        default: return Array(random.pick(Self.texts, or: "").utf8)
        }
    }

    private func filled(_ random: inout SplitMix64) -> [UInt8] {
        let length = random.pick(Self.lengths, or: 0)
        let piece = Array(random.pick(["x", "/", "\u{1F4BE}", "\u{301}", "a\u{301}", "."], or: "x").utf8)
        var bytes: [UInt8] = []
        while bytes.count + piece.count <= length { bytes += piece }
        return bytes
    }
}
