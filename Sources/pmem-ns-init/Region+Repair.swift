import Ndctl

extension Region {
    /// Why nothing can be made of the region, even when our own leftovers in it are destroyed or enabled, as is done
    /// first; nil if something can.
    var lastingObstacle: String? {
        let own = namespaces.filter { [NamespacePlan.name, NamespacePlan.unfinishedName].contains($0.alternateName) }
        return removing(Set(own.map(\.devname))).obstacle
    }
}
