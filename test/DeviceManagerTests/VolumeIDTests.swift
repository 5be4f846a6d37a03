import DeviceManager
import Testing

@Suite struct VolumeIDTests {
    /// sha256sum of the texts, cut off.
    @Test(
        "an id is made of the name, its hash and the node's",
        arguments: [
            ("pvc-1", "node-1", "pvc1-f2868e1aa7cab669517cd9f5ab1b7957-"),
            ("", "n", "volume-e3b0c44298fc1c149afbf4c8996fb924-"),
            ("pvmove", "n", "volume-"), ("pvmove0", "n", "volume-"), ("-pvmove-", "n", "volume-"),
            ("PVMOVE", "n", "PVMOVE-"),
            ("snapshot", "n", "snapsh-"), ("日本", "n", "volume-"), ("é1", "n", "1-"), ("a.b_c+d-efgh", "n", "abcdef-"),
        ])
    func form(name: String, node: String, beginning: String) {
        let id = VolumeID(name: name, node: node)
        #expect(id.rawValue.hasPrefix(beginning), "\(id)")
        #expect(id.rawValue.hasSuffix("-" + VolumeID.hash(node, digits: 10)))
        #expect(VolumeID(id.rawValue) == id)
        #expect(id.isOn(node: node) && !id.isOn(node: node + "x"))
        // LVM allows 127 characters, and the CSI 128.
        #expect(id.rawValue.utf8.count <= 6 + 1 + 32 + 1 + 10)
    }

    @Test("the same name on another node is another volume, and so is a name that looks the same")
    func distinct() {
        let ids = [("a", "n1"), ("a", "n2"), ("é", "n1"), ("e\u{301}", "n1"), ("A", "n1"), ("a ", "n1")]
            .map { VolumeID(name: $0.0, node: $0.1) }
        #expect(Set(ids).count == ids.count)
    }

    @Test("a volume, a snapshot and an inline volume of one name have ids of one form, and all differ")
    func kinds() {
        let ids = [
            VolumeID(name: "a", node: "n"), VolumeID(snapshot: "a", node: "n"), VolumeID(ephemeral: "a", node: "n"),
        ]
        #expect(Set(ids).count == 3)
        #expect(ids.map { VolumeID($0.rawValue) } == ids)
        #expect(ids.allSatisfy { $0.isOn(node: "n") && $0.rawValue.hasPrefix("a-") })
    }

    private static let hash32 = String(repeating: "0a", count: 16)
    private static let hash10 = "0123456789"
    private static let hash56 = String(repeating: "0123456789abcd", count: 4)

    @Test(
        "ids from outside are ours, pmem-csi's, or none",
        arguments: [
            ("abc-\(hash32)-\(hash10)", true), ("abcdef-\(hash32)-\(hash10)", true),
            ("abcdefg-\(hash32)-\(hash10)", false), ("-\(hash32)-\(hash10)", false), ("ab-\(hash32)", false),
            ("ab-\(hash32)-\(hash10)0", false), ("ab-\(hash32)-\(hash10)-", false), ("ab-\(hash32)-01234567 9", false),
            ("ab-\(hash32.uppercased())-\(hash10)", false), ("äb-\(hash32)-\(hash10)", false),
            ("a/b-\(hash32)-\(hash10)", false), ("../a-\(hash32)-\(hash10)", false), ("a\n-\(hash32)-\(hash10)", false),
            ("pvc-8d-\(hash56)", true), ("a-\(hash56)", true), ("a.b_+-\(hash56)", true), ("abcdefg-\(hash56)", false),
            ("-abcde-\(hash56)", false), ("..-\(hash56)", false), ("../..-\(hash56)", false), ("\(hash56)", false),
            ("-\(hash56)", false), ("", false), ("-", false), ("--", false), ("x", false), ("a-b-c", false),
        ])
    func parsing(text: String, isID: Bool) {
        #expect((VolumeID(text) != nil) == isID)
    }

    @Test("an id of pmem-csi may be on any node")
    func foreign() throws {
        let id = try #require(VolumeID("pvc-8d-\(Self.hash56)"))
        #expect(id.isOn(node: "n1") && id.isOn(node: "n2"))
    }

    @Test("hashes are SHA-256 in small hexadecimal digits")
    func hash() {
        #expect(VolumeID.hash("abc", digits: 64) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(VolumeID.hash("abc", digits: 10) == "ba7816bf8f")
    }
}
