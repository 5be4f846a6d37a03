import CNdctl

/// A namespace that was found by its alternate name, and the device name and interleave set of its region.
package struct NamedNamespace: Sendable, Hashable {
    package let region: String
    package let interleaveSet: UInt64?
    package let namespace: Namespace

    package init(region: String, interleaveSet: UInt64? = nil, namespace: Namespace) {
        self.region = region
        self.interleaveSet = interleaveSet
        self.namespace = namespace
    }
}

extension Ndctl {
    /// All of that name, whatever their state: half made, disabled, in use. Reads little of the others.
    package func namespaces(named name: String) throws(NdctlError) -> [NamedNamespace] {
        try inTurn { context throws(NdctlError) in
            context.regions().flatMap { region in
                Context.namespaces(of: region).filter { namespace in
                    Context.text(ndctl_namespace_get_alt_name(namespace)) == name
                        && ndctl_namespace_get_size(namespace) > 0
                }
                .map { namespace in
                    NamedNamespace(
                        region: Context.text(ndctl_region_get_devname(region)),
                        interleaveSet: Region.interleaveSet(of: region),
                        namespace: Namespace(reading: namespace))
                }
            }
        }
    }
}
