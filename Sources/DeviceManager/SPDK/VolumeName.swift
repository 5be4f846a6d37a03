import Crypto

/// What the name of a logical volume of ours says. SPDK keeps nothing else about a volume that would outlast a restart,
/// so the name holds who may see it, what it was made from, and when.
///
/// spdk-csi uses the CSI name as it is; volumes and snapshots of those names are found, and any host may see them.
package enum VolumeName: Sendable, Equatable {
    /// As spdk-csi makes them, and ours that any host may see.
    case plain
    /// Only hosts that were let in may see it.
    case guarded
    case copy(isGuarded: Bool, ofSnapshot: Bool, uuid: String)
    /// Taken of the volume with this uuid, in seconds since 1970.
    case snapshot(of: String, at: UInt64)
    /// A snapshot that nobody may see: the one below a clone of a volume.
    case hidden

    package init(_ name: String) {
        guard let mark = name.lastIndex(of: "~") else {
            self = .plain
            return
        }
        let stem = name[..<mark], rest = name[name.index(after: mark)...]
        self = Self.marked(rest, hasStem: !stem.isEmpty) ?? .plain
    }

    private static func marked(_ rest: Substring, hasStem: Bool) -> VolumeName? {
        guard hasStem else { return rest.hasPrefix("b") ? .hidden : nil }
        if rest == "h" { return .guarded }
        if rest.first == "t", rest.utf8.count == 41, let seconds = UInt64(rest.dropFirst().prefix(8), radix: 16),
            let uuid = uuid(rest.suffix(32))
        {
            return .snapshot(of: uuid, at: seconds)
        }
        let marks = Array(rest.prefix(2))
        guard rest.utf8.count == 34, let uuid = uuid(rest.suffix(32)), "ha".contains(marks[0]), "sv".contains(marks[1])
        else { return nil }
        return .copy(isGuarded: marks[0] == "h", ofSnapshot: marks[1] == "s", uuid: uuid)
    }

    package var isGuarded: Bool {
        switch self {
        case .guarded, .copy(isGuarded: true, _, _): true
        default: false
        }
    }

    /// The lvol's name for a volume called `name`. At most 63 bytes.
    package static func volume(_ name: String, isGuarded: Bool) -> String { stem(name) + (isGuarded ? "~h" : "") }

    package static func copy(_ name: String, isGuarded: Bool, of uuid: String, isSnapshot: Bool) -> String {
        "\(short(name))~\(isGuarded ? "h" : "a")\(isSnapshot ? "s" : "v")\(digits(uuid))"
    }

    package static func snapshot(_ name: String, of uuid: String, at seconds: UInt64) -> String {
        let time = String(seconds & 0xffff_ffff, radix: 16)
        return "\(short(name))~t\(String(repeating: "0", count: 8 - time.utf8.count))\(time)\(digits(uuid))"
    }

    /// Of the snapshot below the clone `name`.
    package static func base(of name: String) -> String { "~b" + hash(name, 32) }

    /// Whether the lvol is the volume called `name`.
    package static func isVolume(_ listed: ListedLogicalVolume, named name: String) -> Bool {
        guard !listed.isSnapshot else { return false }
        let stem = stem(name)
        if listed.name == stem || listed.name == stem + "~h" { return true }
        guard listed.name.hasPrefix(short(name) + "~"), case .copy = VolumeName(listed.name) else { return false }
        return true
    }

    package static func isSnapshot(_ listed: ListedLogicalVolume, named name: String) -> Bool {
        guard listed.isSnapshot else { return false }
        if listed.name == name { return true }
        guard listed.name.hasPrefix(short(name) + "~"), case .snapshot = VolumeName(listed.name) else { return false }
        return true
    }

    /// The CSI name where it fits and cannot be mistaken; otherwise its hash.
    private static func stem(_ name: String) -> String {
        name.wholeMatch(of: /[A-Za-z0-9_.\-]{1,60}/) != nil ? name : "csi-" + hash(name, 32)
    }

    private static func short(_ name: String) -> String { hash(name, 20) }

    private static func hash(_ text: String, _ digits: Int) -> String {
        let hexadecimal = SHA256.hash(data: Array(text.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return String(hexadecimal.joined().prefix(digits))
    }

    private static func digits(_ uuid: String) -> String { uuid.lowercased().filter { $0 != "-" } }

    private static func uuid(_ digits: Substring) -> String? {
        guard digits.wholeMatch(of: /[0-9a-f]{32}/) != nil else { return nil }
        var text = ""
        for (index, character) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(character)
        }
        return text
    }
}
