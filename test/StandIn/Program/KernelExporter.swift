import FoundationEssentials
import Glibc
import StandIn

/// Shows files to hosts through nvmet's configfs and tgt. A volume's file is named by its uuid, and its attributes are
/// in a file beside it.
final class KernelExporter: Exporter {
    private static let root = "/sys/kernel/config/nvmet"
    private let directory: String

    init(directory: String) { self.directory = directory }

    private func file(_ uuid: String) -> String { "\(directory)/\(uuid)" }

    // Volumes.

    func make(_ lvol: Lvol) throws {
        try resize(lvol.uuid, size: lvol.size)
        try Data("\(lvol.isThin) \(lvol.name)".utf8).write(to: URL(filePath: file(lvol.uuid) + ".name"))
    }

    func resize(_ uuid: String, size: UInt64) throws {
        let descriptor = open(file(uuid), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, off_t(size)) == 0 else { throw failure("resize \(uuid)") }
        close(descriptor)
        let namespace = "\(Self.root)/subsystems/nqn.2020-04.io.spdk.csi:uuid:\(uuid)/namespaces/1/revalidate_size"
        if access(namespace, F_OK) == 0 { try set(namespace, "1") }
        if let target = try targets().first(where: { $0.name.hasSuffix(uuid) }) {
            let unit = ["--mode", "logicalunit", "--op", "update", "--tid", "\(target.id)", "--lun", "1", "--params"]
            for value in ["online=0", "path=\(file(uuid))", "online=1"] { try admin(unit + [value]) }
        }
    }

    func remove(_ uuid: String) throws {
        unlink(file(uuid))
        unlink(file(uuid) + ".name")
    }

    /// Those of a run before.
    func volumes(store: String) throws -> [Lvol] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".name") }.map { name in
            let uuid = String(name.dropLast(5))
            let text = String(decoding: try Data(contentsOf: URL(filePath: file(uuid) + ".name")), as: UTF8.self)
            let words = text.split(separator: " ", maxSplits: 1).map(String.init)
            var status = stat()
            guard words.count == 2, stat(file(uuid), &status) == 0 else { throw failure("read \(name)") }
            return Lvol(
                uuid: uuid, store: store, name: words[1], size: UInt64(status.st_size), isThin: words[0] == "true")
        }
    }

    // NVMe-oF.

    private func path(_ nqn: String) -> String { "\(Self.root)/subsystems/\(nqn)" }

    func addSubsystem(_ nqn: String, serial: String, model: String, allowsAnyHost: Bool) throws {
        try make(directory: path(nqn))
        try set("\(path(nqn))/attr_allow_any_host", allowsAnyHost ? "1" : "0")
        try set("\(path(nqn))/attr_serial", serial)
        try set("\(path(nqn))/attr_model", model)
    }

    func removeSubsystem(_ nqn: String) throws {
        for port in names("\(Self.root)/ports") { unlink("\(Self.root)/ports/\(port)/subsystems/\(nqn)") }
        for host in names("\(path(nqn))/allowed_hosts") { unlink("\(path(nqn))/allowed_hosts/\(host)") }
        for namespace in names("\(path(nqn))/namespaces") { rmdir("\(path(nqn))/namespaces/\(namespace)") }
        guard rmdir(path(nqn)) == 0 || errno == ENOENT else { throw failure("remove \(nqn)") }
    }

    func allowAnyHost(_ nqn: String, _ allows: Bool) throws {
        try set("\(path(nqn))/attr_allow_any_host", allows ? "1" : "0")
    }

    func addNamespace(_ nqn: String, uuid: String) throws {
        let namespace = "\(path(nqn))/namespaces/1"
        try make(directory: namespace)
        try set("\(namespace)/device_path", file(uuid))
        try set("\(namespace)/device_uuid", uuid)
        // A tmpfs has no direct writes.
        try set("\(namespace)/buffered_io", "1")
        try set("\(namespace)/enable", "1")
    }

    func addListener(_ nqn: String, address: String, family: String, port: String) throws {
        let ports = "\(Self.root)/ports"
        let known = names(ports).first {
            (try? get("\(ports)/\($0)/addr_traddr")) == address && (try? get("\(ports)/\($0)/addr_trsvcid")) == port
        }
        let number = known ?? "\((names(ports).compactMap { Int($0) }.max() ?? 0) + 1)"
        if known == nil {
            try make(directory: "\(ports)/\(number)")
            for (key, value) in [
                ("addr_trtype", "tcp"), ("addr_adrfam", family.lowercased()), ("addr_traddr", address),
                ("addr_trsvcid", port),
            ] { try set("\(ports)/\(number)/\(key)", value) }
        }
        try link(path(nqn), "\(ports)/\(number)/subsystems/\(nqn)")
    }

    func addHost(_ nqn: String, _ host: String) throws {
        try make(directory: "\(Self.root)/hosts/\(host)")
        try link("\(Self.root)/hosts/\(host)", "\(path(nqn))/allowed_hosts/\(host)")
    }

    func removeHost(_ nqn: String, _ host: String) throws {
        guard unlink("\(path(nqn))/allowed_hosts/\(host)") == 0 || errno == ENOENT else {
            throw failure("remove \(host)")
        }
    }

    // iSCSI.

    func addTarget(_ iqn: String, uuid: String, portals: [(host: String, port: String)]) throws {
        let id = (try targets().map(\.id).max() ?? 0) + 1
        try admin(["--mode", "target", "--op", "new", "--tid", "\(id)", "--targetname", iqn])
        try admin(["--mode", "logicalunit", "--op", "new", "--tid", "\(id)", "--lun", "1", "-b", file(uuid)])
        try admin(["--mode", "target", "--op", "bind", "--tid", "\(id)", "-I", "ALL"])
    }

    func removeTarget(_ iqn: String) throws {
        guard let target = try targets().first(where: { $0.name == iqn }) else { return }
        try admin(["--mode", "target", "--op", "delete", "--force", "--tid", "\(target.id)"])
    }

    private func targets() throws -> [(id: Int, name: String)] {
        guard let text = try? admin(["--mode", "target", "--op", "show"]) else { return [] }
        return text.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("Target "), let colon = line.firstIndex(of: ":"),
                let id = Int(line[..<colon].dropFirst("Target ".count))
            else { return nil }
            return (id, String(line[line.index(colon, offsetBy: 2)...]))
        }
    }

    func removeAll() throws {
        for nqn in names("\(Self.root)/subsystems") where nqn.hasPrefix("nqn.2020-04.io.spdk.csi:") {
            try removeSubsystem(nqn)
        }
        for target in try targets() where target.name.hasPrefix("iqn.2016-06.io.spdk:") {
            try removeTarget(target.name)
        }
    }

    // Files and programs.

    private func names(_ path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }

    private func make(directory: String) throws {
        guard mkdir(directory, 0o755) == 0 || errno == EEXIST else { throw failure("make \(directory)") }
    }

    private func link(_ original: String, _ path: String) throws {
        guard symlink(original, path) == 0 || errno == EEXIST else { throw failure("link \(path)") }
    }

    /// configfs takes one write, and no file of another name.
    private func set(_ path: String, _ value: String) throws {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open \(path)") }
        defer { close(descriptor) }
        guard write(descriptor, value, value.utf8.count) == value.utf8.count else { throw failure("write \(path)") }
    }

    private func get(_ path: String) throws -> String {
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        return text.filter { !$0.isNewline }
    }

    private func failure(_ action: String) -> StandInError {
        StandInError(-32603, "cannot \(action): \(String(cString: strerror(errno)))")
    }

    @discardableResult
    private func admin(_ arguments: [String]) throws -> String {
        let output = "\(directory)/tgtadm.output"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var words = (["tgtadm", "--lld", "iscsi"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        var status: Int32 = 0
        guard posix_spawnp(&process, "tgtadm", &actions, nil, &words, environ) == 0 else {
            throw failure("start tgtadm")
        }
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { throw failure("wait for tgtadm") }
        }
        guard status == 0 else {
            throw StandInError(-32603, "tgtadm \(arguments.joined(separator: " ")): status \(status)")
        }
        return String(decoding: try Data(contentsOf: URL(filePath: output)), as: UTF8.self)
    }
}
