import FoundationEssentials
import Glibc

/// The regions and namespaces as `ndctl list` and sysfs show them, for a driver whose volumes are namespaces.
enum DirectView {
    struct Namespace: Decodable, Equatable {
        let dev, mode: String
        /// ndctl leaves it out of a namespace whose page map or BTT is not there yet.
        let size: UInt64?
        let map, name, blockdev, state: String?
    }

    /// Disabled and half-made ones too, but not the kernel's spare ones.
    static func namespaces(inRegion region: String? = nil) async throws -> [Namespace] {
        let words = region.map { ["-r", $0] } ?? []
        let file = "/run/lab/ndctl.json"
        defer { unlink(file) }
        let listing = try Child.start(["ndctl", "list", "-Ni"] + words, output: file)
        try checkEqual(try await listing.wait(atMost: .seconds(60)), 0, "exit status of ndctl list")
        let json = Data(try Kernel.read(file).utf8)
        if json.allSatisfy({ $0 == 0x0a || $0 == 0x20 }) { return [] }
        let decoder = JSONDecoder()
        let several = try? decoder.decode([Namespace].self, from: json)
        let all = try several ?? [decoder.decode(Namespace.self, from: json)]
        return all.filter { $0.size != 0 }.sorted { $0.dev < $1.dev }
    }

    static func namespaces(named name: String) async throws -> [Namespace] {
        try await namespaces().filter { $0.name == name }
    }

    static func namespace(_ volume: Volume) async throws -> Namespace {
        let found = try await namespaces(named: volume.id)
        try checkEqual(found.count, 1, "namespaces named \(volume.id)")
        return found[0]
    }

    /// Names of the form that ids have.
    static func volumes() async throws -> [String] {
        try await namespaces().compactMap(\.name).filter(LifeSteps.isWellFormed)
    }

    static func device(_ volume: Volume) async throws -> String {
        guard let device = try await namespace(volume).blockdev else { throw Failure("\(volume.id) has no device") }
        return "/dev/\(device)"
    }

    static func free(_ region: String) throws -> UInt64 {
        UInt64(try Kernel.read("/sys/bus/nd/devices/\(region)/available_size").filter(\.isNumber)) ?? 0
    }

    static func free() throws -> [UInt64] { try NamespaceSteps.regions().map(free) }

    static func set(_ attribute: String, of region: String, to value: String) throws {
        try Kernel.write(value, toExisting: "/sys/bus/nd/devices/\(region)/\(attribute)")
    }
}

extension Driver {
    /// For `lines(since:)`.
    func logLength() throws -> Int { try Kernel.read(log).utf8.count }

    /// What the log got since it was so long.
    func lines(since length: Int) throws -> [Substring] {
        String(decoding: try Kernel.read(log).utf8.dropFirst(length), as: UTF8.self).split(separator: "\n")
    }
}

extension Kernel {
    /// A file of the kernel's, which can be neither made nor synced.
    static func write(_ text: String, toExisting path: String) throws {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", path) }
        defer { close(file) }
        guard text.withCString({ Glibc.write(file, $0, strlen($0)) }) == text.utf8.count else {
            throw failure("write", path)
        }
    }
}
