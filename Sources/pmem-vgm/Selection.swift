import Ndctl

/// Which namespaces of a region belong into its group of one mode: pure. Owned by one run.
struct Selection: Equatable {
    /// The name under which pmem-ns-init makes namespaces, and the one that they have until they are ready.
    static let ownName = "pmem-csi"
    static let unfinishedName = "pmem-csi.new"

    private(set) var members: [Member] = []
    /// Own namespaces that cannot be used as they are.
    private(set) var warnings: [String] = []

    init(_ namespaces: [Namespace], mode: Namespace.Mode) {
        for namespace in namespaces where namespace.mode == mode {
            let name = namespace.devname
            if namespace.alternateName == Self.unfinishedName {
                warnings.append("\(name) was not finished by pmem-ns-init: ignored; run pmem-ns-init again")
            }
            // Foreign namespaces are nobody's business here.
            guard namespace.alternateName == Self.ownName else { continue }
            guard namespace.isActive else {
                warnings.append("\(name) is not active: ignored; ndctl enable-namespace \(name)")
                continue
            }
            guard let device = namespace.blockDevice, !device.isEmpty else {
                warnings.append("\(name) has no block device: ignored; is the kernel module nd_pmem loaded?")
                continue
            }
            members.append(Member(namespace: name, device: "/dev/\(device)"))
        }
    }
}
