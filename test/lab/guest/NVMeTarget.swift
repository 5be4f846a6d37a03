import FoundationEssentials
import Glibc

/// The kernel's own NVMe-oF target, commanded through configfs: files as namespaces, ports on addresses of this machine.
enum NVMeTarget {
    private static let root = "/sys/kernel/config/nvmet"

    /// A subsystem with one namespace for each UUID, exported by every port.
    struct Subsystem: Sendable {
        let nqn: String
        let uuids: [String]

        func file(_ index: Int) -> String { "/run/lab/targets/\(uuids[index])" }
        var path: String { "\(NVMeTarget.root)/subsystems/\(nqn)" }
    }

    /// Addresses that can be cut: each on a device of its own, so that losing it is losing the network.
    static let addresses = ["10.99.1.1", "10.99.2.1"]

    static func start() async throws {
        for module in ["nvmet", "nvmet-tcp", "dummy"] { _ = try await execute("modprobe", module).succeeded() }
        if !Kernel.exists(root) {
            _ = try await execute("mount", "-t", "configfs", "configfs", "/sys/kernel/config").succeeded()
        }
        try Kernel.makeDirectories("/run/lab/targets")
        for (index, address) in addresses.enumerated() {
            _ = try await execute("ip", "link", "add", "path\(index)", "type", "dummy").succeeded()
            _ = try await execute("ip", "link", "set", "path\(index)", "up").succeeded()
            try await connect(index)
            let port = "\(root)/ports/\(index + 1)"
            try Kernel.makeDirectories(port)
            for (key, value) in [
                ("addr_trtype", "tcp"), ("addr_adrfam", "ipv4"), ("addr_traddr", address), ("addr_trsvcid", "4420"),
            ] {
                try Kernel.write(value, toExisting: "\(port)/\(key)")
            }
        }
    }

    /// Brings the address of a path here, as a cable that is plugged in.
    static func connect(_ index: Int) async throws {
        _ = try await execute("ip", "route", "del", "\(addresses[index])/32", "dev", "path\(index)")
        _ = try await execute("ip", "addr", "add", "\(addresses[index])/32", "dev", "path\(index)").succeeded()
    }

    /// Nobody answers at that address any more, and nobody says so: a dummy device swallows what is sent.
    static func cut(_ index: Int) async throws {
        _ = try await execute("ip", "addr", "del", "\(addresses[index])/32", "dev", "path\(index)").succeeded()
        _ = try await execute("ip", "route", "add", "\(addresses[index])/32", "dev", "path\(index)").succeeded()
    }

    static func make(_ subsystem: Subsystem, size: UInt64 = 64 * MiB, anyHost: Bool = true) throws {
        try Kernel.makeDirectories(subsystem.path)
        try Kernel.write(anyHost ? "1" : "0", toExisting: "\(subsystem.path)/attr_allow_any_host")
        // As spdk-csi has it: the same serial number for all.
        try Kernel.write("spdkcsi-sn", toExisting: "\(subsystem.path)/attr_serial")
        for (index, uuid) in subsystem.uuids.enumerated() {
            if !Kernel.exists(subsystem.file(index)) { try resize(subsystem, index, to: size) }
            let namespace = "\(subsystem.path)/namespaces/\(index + 1)"
            try Kernel.makeDirectories(namespace)
            try Kernel.write(subsystem.file(index), toExisting: "\(namespace)/device_path")
            try Kernel.write(uuid, toExisting: "\(namespace)/device_uuid")
            // A tmpfs has no direct writes.
            try Kernel.write("1", toExisting: "\(namespace)/buffered_io")
            try Kernel.write("1", toExisting: "\(namespace)/enable")
        }
        try export(subsystem)
    }

    static func export(_ subsystem: Subsystem) throws {
        for port in 1...addresses.count {
            let link = "\(root)/ports/\(port)/subsystems/\(subsystem.nqn)"
            guard symlink(subsystem.path, link) == 0 else { throw Kernel.failure("export", link) }
        }
    }

    /// As a target that ends: its hosts lose their connections.
    static func withdraw(_ subsystem: Subsystem) throws {
        for port in 1...addresses.count {
            let link = "\(root)/ports/\(port)/subsystems/\(subsystem.nqn)"
            guard unlink(link) == 0 || errno == ENOENT else { throw Kernel.failure("withdraw", link) }
        }
    }

    static func allow(_ host: String, to subsystem: Subsystem) throws {
        try Kernel.makeDirectories("\(root)/hosts/\(host)")
        guard symlink("\(root)/hosts/\(host)", "\(subsystem.path)/allowed_hosts/\(host)") == 0 else {
            throw Kernel.failure("allow", host)
        }
    }

    /// The file of a namespace, and what the kernel tells its hosts of it.
    static func resize(_ subsystem: Subsystem, _ index: Int, to size: UInt64) throws {
        let file = open(subsystem.file(index), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0, ftruncate(file, off_t(size)) == 0 else {
            throw Kernel.failure("resize", subsystem.file(index))
        }
        close(file)
        let namespace = "\(subsystem.path)/namespaces/\(index + 1)"
        guard Kernel.exists("\(namespace)/revalidate_size") else { return }
        try Kernel.write("1", toExisting: "\(namespace)/revalidate_size")
    }

    static func remove(_ subsystem: Subsystem) throws {
        try withdraw(subsystem)
        for host in (try? FileManager.default.contentsOfDirectory(atPath: "\(subsystem.path)/allowed_hosts")) ?? [] {
            unlink("\(subsystem.path)/allowed_hosts/\(host)")
        }
        for index in subsystem.uuids.indices {
            rmdir("\(subsystem.path)/namespaces/\(index + 1)")
            unlink(subsystem.file(index))
        }
        guard rmdir(subsystem.path) == 0 else { throw Kernel.failure("remove", subsystem.path) }
    }
}
