import CNdctl
import Glibc

/// One look at the machine's NVDIMMs through libndctl; it is the owner of the library's context, and of every pointer
/// taken from it. What it has read does not change when the kernel's state does, so each verb makes its own.
struct Context: ~Copyable {
    private let raw: OpaquePointer

    init() throws(NdctlError) {
        var new: OpaquePointer?
        try check(ndctl_new(&new), "open libndctl")
        guard let new else { throw NdctlError(.failed, "cannot open libndctl") }
        raw = new
        // Its complaints would break into our log; each ends up in an NdctlError. Who asks for them gets them.
        if getenv("NDCTL_LOG") == nil {
            ndctl_set_log_priority(raw, 0)
        }
    }

    deinit {
        ndctl_unref(raw)
    }

    func regions() -> [OpaquePointer] {
        let buses = Self.list(ndctl_bus_get_first(raw), ndctl_bus_get_next)
        return buses.flatMap { Self.list(ndctl_region_get_first($0), ndctl_region_get_next) }
    }

    func region(_ devname: String) throws(NdctlError) -> OpaquePointer {
        for region in regions() where Self.text(ndctl_region_get_devname(region)) == devname {
            return region
        }
        throw NdctlError(.notFound, "there is no region \(devname); `ndctl list -Ri` shows those that there are")
    }

    func namespace(_ devname: String) throws(NdctlError) -> OpaquePointer {
        for region in regions() {
            for namespace in Self.namespaces(of: region)
            where Self.text(ndctl_namespace_get_devname(namespace)) == devname {
                return namespace
            }
        }
        throw NdctlError(.notFound, "there is no namespace \(devname); `ndctl list -Ni` shows those that there are")
    }

    static func namespaces(of region: OpaquePointer) -> [OpaquePointer] {
        list(ndctl_namespace_get_first(region), ndctl_namespace_get_next)
    }

    static func text(_ string: UnsafePointer<CChar>?) -> String {
        string.map { String(cString: $0) } ?? ""
    }

    private static func list(
        _ first: OpaquePointer?, _ next: (OpaquePointer?) -> OpaquePointer?
    ) -> [OpaquePointer] {
        var result: [OpaquePointer] = []
        var current = first
        while let pointer = current {
            result.append(pointer)
            current = next(pointer)
        }
        return result
    }
}
