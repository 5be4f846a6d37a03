import FoundationEssentials
import Testing

/// docs/parameters.md against the sources that it is about.
@Suite("docs/parameters.md")
struct DocumentTests {
    private static let top = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    private static func read(_ path: String) throws -> String {
        try String(contentsOfFile: "\(top)/\(path)", encoding: .utf8)
    }

    /// All Swift below these folders or files.
    private static func sources(_ paths: String...) throws -> String {
        try paths.flatMap { path in
            path.hasSuffix(".swift")
                ? [path]
                : try FileManager.default.subpathsOfDirectory(atPath: "\(top)/\(path)").map { "\(path)/\($0)" }
        }.filter { $0.hasSuffix(".swift") }.map(read).joined(separator: "\n")
    }

    /// First cells of the table rows below a heading: what stands between the first backquotes.
    private static func documented(_ heading: String) throws -> [String] {
        let text = try read("docs/parameters.md")
        let section = try #require(text.split(separator: "\n## ").first { $0.hasPrefix(heading) }, "no \(heading)")
        return section.matches(of: /(?m)^\| `([^`]+)`/).map { String($0.1) }
    }

    @Test(
        "every flag of a program is in its table, and no other",
        arguments: [
            ("pmem-csi-driver", ["Sources/pmem-csi-driver"]),
            ("pmem-ns-init", ["Sources/pmem-ns-init", "Sources/pmem-csi-driver/Program/LogOptions.swift"]),
            ("pmem-vgm", ["Sources/pmem-vgm", "Sources/pmem-csi-driver/Program/LogOptions.swift"]),
        ])
    func flags(_ program: String, _ paths: [String]) throws {
        let code = try paths.map { try Self.sources($0) }.joined()
        let flags = Set(code.matches(of: /customLong\("([^"]+)"\)/).map { "-\($0.1)" })
        #expect(flags.count > 1)
        #expect(Set(try Self.documented(program)) == flags)
    }

    @Test("every StorageClass key is in its table, and no other")
    func keys() throws {
        let parameters = try Self.sources("Sources/DeviceManager/VolumeParameters.swift")
        let namespaces = try Self.sources("Sources/DeviceManager/Direct/NamespaceParameters.swift")
        var keys = Set(parameters.matches(of: /case "([a-z]+)"[^:]*: [a-zA-Z]+ = try/).map { String($0.1) })
        let list = try #require(namespaces.firstMatch(of: /keys = \[([^\]]+)\]/))
        keys.formUnion(list.1.matches(of: /"([A-Za-z]+)"/).map { String($0.1) })
        #expect(keys.isSuperset(of: ["nsmode", "provisioning", "allocation", "eraseafter", "pageMap"]))
        #expect(Set(try Self.documented("StorageClass")) == keys)
    }

    @Test("every metric is in its table, and no other")
    func metrics() throws {
        let code = try Self.sources("Sources")
        let names = code.matches(of: /"((?:pmem|csi_plugin|process|build)_[a-z_]+)"/).map { String($0.1) }
        #expect(names.count > 10)
        #expect(Set(try Self.documented("Metrics")) == Set(names))
    }
}
