import CSIProto
import GRPCCore
import SwiftProtobuf

/// Names hold any Unicode but a few control characters, and names that only look alike are different volumes.
enum NameChecks {
    static let topic = Topic(
        "Names",
        [
            Check("names of every kind of Unicode") { driver in
                var ids: Set<String> = []
                for name in strange {
                    let volume = try await driver.create(driver.creation().changing { $0.name = name })
                    let again = try await driver.create(volume.request)
                    try requireEqual(again.id, volume.id, "id of \"\(name)\" asked for again")
                    ids.insert(volume.id)
                    _ = await driver.undo()
                }
                try requireEqual(ids.count, strange.count, "different ids")
                return "\(strange.count) names"
            },
            Check("names that look alike are different volumes") { driver in
                for pair in alike {
                    var ids: [String] = []
                    for name in pair {
                        ids.append(try await driver.create(driver.creation().changing { $0.name = name }).id)
                    }
                    try requireEqual(Set(ids).count, pair.count, "different ids of \(pair)")
                    _ = await driver.undo()
                }
                return "\(alike.count) pairs"
            },
            Check("control characters that a name may not have") { driver in
                let bad = Array(0...0x08) + [0x0B, 0x0C] + Array(0x0E...0x1F) + Array(0x7F...0x9F)
                let rows = bad.compactMap(Unicode.Scalar.init).map { scalar in
                    ("U+\(String(scalar.value, radix: 16))", "name\(Character(scalar))x")
                }
                try await forEach(rows) { name in
                    try await driver.expect(.invalidArgument, of: driver.creation().changing { $0.name = name })
                }
                return "\(rows.count) characters"
            },
            Check("control characters that a name may have", core: false) { driver in
                for scalar in ["\t", "\n", "\r"] {
                    let name = "\(driver.name())\(scalar)x"
                    try await driver.expect(.ok, of: driver.creation().changing { $0.name = name })
                }
                return "tab, line feed, carriage return"
            },
            Check("a snapshot's name may be a volume's, and as strange", needs: [.snapshots]) { driver in
                let volume = try await driver.volume()
                var ids: Set<String> = [volume.id]
                for name in [volume.request.name, "-- ../;$(reboot) \u{1F4BE}", "snapshot", "Snapshot"] {
                    ids.insert(try await volume.snapshotIt(name).snapshotID)
                }
                try requireEqual(ids.count, 5, "different ids")
                return "4 names"
            },
        ])

    private static let strange = [
        ".", "..", "-", "--help", "/", "../../etc/passwd", "a/b", "name with blanks", " ", "%s%n%x", "$(reboot)",
        "`id`",
        ";rm -rf *", "\"quoted\"", "'", "\\", "pvmove0", "snapshot", "CON", "null", "name\u{0301}", "\u{202E}desrever",
        "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", "\u{FEFF}bom", "\u{FFFD}", "\u{FFFF}", "\u{10FFFF}",
        "\u{AC00}\u{11A8}",
        "\u{0627}\u{0644}\u{0639}", "\u{65E5}\u{672C}\u{8A9E}", String(repeating: "\u{1F4BE}", count: 32), "a\u{00A0}b",
        "\u{200B}", "*", "?[a-z]",
    ]

    private static let alike = [
        ["\u{00E9}", "e\u{0301}"], ["volume", "Volume"], ["a", "\u{0430}"], ["x", "x "], ["x", " x"], ["a-b", "a_b"],
        ["a.b", "a-b"], ["\u{FB01}", "fi"], ["K", "\u{212A}"], ["a\u{200B}", "a"], ["1", "01"],
    ]
}
