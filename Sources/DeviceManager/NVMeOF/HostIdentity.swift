import Crypto

/// Who a node is to NVMe-oF targets: a function of driver, cluster and node, so that the controller, which lets the
/// host in, and the node, which connects as it, know it without telling each other.
package struct HostIdentity: Sendable, Hashable, Codable {
    /// The host id, in the usual form with dashes.
    package let id: String

    /// Where `clusterName` is not configured, it is empty.
    package init(driverName: String, clusterName: String, nodeID: String) {
        // Names do not contain the byte 0, so no two triples run together to the same bytes.
        let name = [driverName, clusterName, nodeID].joined(separator: "\0")
        id = Self.uuid(Array(Insecure.SHA1.hash(data: Self.space + Array(name.utf8))))
    }

    /// The host NQN.
    package var nqn: String { "nqn.2014-08.org.nvmexpress:uuid:\(id)" }

    /// The name space of these UUIDs, 9f6a2f0e-4d0b-4a4e-8d53-6c1c3f1b7a52; it can never change.
    private static let space: [UInt8] = [
        0x9f, 0x6a, 0x2f, 0x0e, 0x4d, 0x0b, 0x4a, 0x4e, 0x8d, 0x53, 0x6c, 0x1c, 0x3f, 0x1b, 0x7a, 0x52,
    ]

    /// Version 5 of RFC 9562.
    private static func uuid(_ hash: [UInt8]) -> String {
        var bytes = Array(hash.prefix(16))
        bytes[6] = bytes[6] & 0x0f | 0x50
        bytes[8] = bytes[8] & 0x3f | 0x80
        let digits = bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }
        return [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }.joined(separator: "-")
    }
}
