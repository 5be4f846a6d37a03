import Crypto

/// The identifier of a volume or snapshot, and the name of its logical volume or file.
///
/// It is a function of the CSI name and the node, so a repeated CreateVolume needs no memory to meet its volume again:
/// up to 6 letters and digits of the name, `-`, 32 hex digits of the name's SHA-256, `-`, 10 of the node's.
/// Ids of pmem-csi (up to 6 characters, `-`, 56 hex digits of SHA-224) are accepted, so its volumes can be taken over.
package struct VolumeID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let rawValue: String

    /// The id that `name` gets on `node`.
    package init(name: String, node: String) {
        self.init(name, space: "", node: node)
    }

    /// The id of the snapshot `name`: snapshots have names of their own, which volumes may have too.
    package init(snapshot name: String, node: String) {
        self.init(name, space: "\u{1}", node: node)
    }

    /// The id that the device of an ephemeral inline volume gets, whose CSI id is Kubernetes' choice.
    package init(ephemeral volumeID: String, node: String) {
        self.init(volumeID, space: "\u{2}", node: node)
    }

    /// With what the ids of volumes of this name begin, on whatever node.
    package static func stem(name: String) -> String { stem(name, space: "") }

    /// The same of a snapshot.
    package static func stem(snapshot name: String) -> String { stem(name, space: "\u{1}") }

    private static func stem(_ name: String, space: String) -> String {
        "\(prefix(of: name))-\(hash(space + name, digits: 32))"
    }

    /// Of a storage node and a volume on it, which were checked when they were read.
    package init(storageNode: String, uuid: String) { rawValue = "\(storageNode):\(uuid)" }

    /// `space` is a character that no CSI name may contain, so that the ids of different spaces differ.
    private init(_ name: String, space: String, node: String) {
        rawValue = "\(Self.stem(name, space: space))-\(Self.nodeHash(node))"
    }

    /// An id received from outside; nil when it has neither our form nor pmem-csi's.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let isOurs =
            parts.count == 3 && Self.isPrefix(parts[0]) && Self.isHex(parts[1], digits: 32)
            && Self.isHex(parts[2], digits: 10)
        guard isOurs || Self.isForeignForm(text) else { return nil }
        rawValue = text
    }

    /// The id of a volume or snapshot on a storage node: `<node>:<lvol uuid>`, or the uuid alone, as in volumes that
    /// were written by hand. Nil when it has another form.
    package init?(remote text: String) {
        guard
            text.wholeMatch(
                of: /([A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,90}:)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/) != nil
        else { return nil }
        rawValue = text
    }

    package var description: String { rawValue }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// The first hexadecimal digits of the SHA-256 of a text's UTF-8 bytes.
    package static func hash(_ text: String, digits: Int) -> String {
        let hexadecimal = SHA256.hash(data: Array(text.utf8)).map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }
        return String(hexadecimal.joined().prefix(digits))
    }

    /// LVM reserves names that begin with "pvmove", and a name may not begin with a dash.
    private static func prefix(of name: String) -> String {
        let allowed = String(name.unicodeScalars.filter(isLetterOrDigit).prefix(6).map(Character.init))
        return allowed.isEmpty || allowed == "pvmove" ? "volume" : allowed
    }

    private static func isPrefix(_ text: Substring) -> Bool {
        (1...6).contains(text.count) && text.unicodeScalars.allSatisfy(isLetterOrDigit)
    }

    /// pmem-csi copies the first characters of the name as they are, dashes included.
    private static func isForeignForm(_ text: String) -> Bool {
        guard let dash = text.lastIndex(of: "-"), isHex(text[text.index(after: dash)...], digits: 56) else {
            return false
        }
        let prefix = text[..<dash]
        let isName = prefix.unicodeScalars.allSatisfy { isLetterOrDigit($0) || "-_.+".unicodeScalars.contains($0) }
        return (1...6).contains(prefix.count) && isName && !prefix.hasPrefix("-") && !prefix.hasPrefix(".")
    }

    private static func isHex(_ text: Substring, digits: Int) -> Bool {
        text.utf8.count == digits && text.unicodeScalars.allSatisfy { "0123456789abcdef".unicodeScalars.contains($0) }
    }

    private static func isLetterOrDigit(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
    }
}

extension VolumeID {
    /// Whether the id was made for `node`; one of pmem-csi names no node, so it may be.
    package func isOn(node: String) -> Bool {
        nodeHash.map { $0 == Self.nodeHash(node) } ?? true
    }

    /// What stands for the node in the id; nil in one of pmem-csi.
    package var nodeHash: String? {
        guard !Self.isForeignForm(rawValue), let dash = rawValue.lastIndex(of: "-") else { return nil }
        return String(rawValue[rawValue.index(after: dash)...])
    }

    /// What the ids of the same name on other nodes have in common with it; nil in one of pmem-csi.
    package var stem: String? { nodeHash.map { String(rawValue.dropLast($0.count + 1)) } }

    /// What stands for a node in the ids of its volumes.
    package static func nodeHash(_ node: String) -> String { hash(node, digits: 10) }
}
