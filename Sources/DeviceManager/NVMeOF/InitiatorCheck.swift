import Host

/// What this node lacks for connecting volumes: kernel modules, device nodes and programs, each by its name.
package struct InitiatorCheck: Sendable {
    /// Why a transport cannot be used.
    package private(set) var missing: [RemoteVolume.Transport: String] = [:]
    /// What works with less.
    package private(set) var warnings: [String] = []

    /// Loads modules where this process can; otherwise the kernel loads most of them itself.
    package init() async {
        await checkNVMe(.tcp, module: "nvme-tcp")
        await checkNVMe(.rdma, module: "nvme-rdma")
        await checkISCSI()
        for (program, package) in [("mkfs.ext4", "e2fsprogs"), ("mkfs.xfs", "xfsprogs")]
        where !Command.exists(program) {
            warnings.append("program \(program) not found; install the Debian package \(package)")
        }
        if missing[.tcp] == nil || missing[.rdma] == nil, (try? NVMeTree().hasMultipath()) != true {
            warnings.append(
                "the kernel's NVMe multipath is off, so a volume has one path only; start the kernel with "
                    + "nvme_core.multipath=Y")
        }
    }

    /// What is missing of these; of any, if nil, only when none is there.
    package func problem(for transports: Set<RemoteVolume.Transport>?) -> String? {
        let all = RemoteVolume.Transport.allCases
        let wanted = all.filter { transports?.contains($0) ?? true }
        let reasons = wanted.compactMap { missing[$0] }
        guard transports != nil || reasons.count == all.count else { return nil }
        return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
    }

    private mutating func checkNVMe(_ transport: RemoteVolume.Transport, module: String) async {
        guard await !Self.isLoaded(module) || !Self.isThere("/dev/nvme-fabrics") else { return }
        let what = Self.isThere("/dev/nvme-fabrics") ? "" : ", and /dev/nvme-fabrics is not there"
        missing[transport] = "kernel module \(module) is not loaded\(what); modprobe \(module) on this node"
    }

    private mutating func checkISCSI() async {
        guard Command.exists("iscsiadm") else {
            missing[.iscsi] = "program iscsiadm not found; install the Debian package open-iscsi"
            return
        }
        guard await Self.isLoaded("iscsi_tcp") else {
            missing[.iscsi] = "kernel module iscsi_tcp is not loaded; modprobe iscsi_tcp on this node"
            return
        }
        // Its socket has no file; a container meets it in the network name space of the node.
        let sockets = (try? KernelFile.read("/proc/net/unix")) ?? ""
        guard !sockets.contains("@ISCSIADM_ABSTRACT_NAMESPACE") else { return }
        warnings.append("iscsid does not run, or not in this network name space; iSCSI needs it (hostNetwork: true)")
    }

    private static func isLoaded(_ module: String) async -> Bool {
        let path = "/sys/module/\(module.replacing("-", with: "_"))"
        if isThere(path) { return true }
        _ = try? await Command.run("modprobe", [module], timeout: .seconds(20))
        return isThere(path)
    }

    private static func isThere(_ path: String) -> Bool { KernelFile.exists(path) }
}
