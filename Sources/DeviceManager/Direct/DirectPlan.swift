package import Ndctl

/// Which region a volume is made in, and what GetCapacity says: pure, from the facts of all regions.
package struct DirectPlan: Sendable {
    package let regions: [Region]

    package init(_ regions: [Region]) {
        self.regions = regions
    }

    package func capacity(for parameters: VolumeParameters) -> Capacity {
        var capacity = Capacity()
        let spaces = spaces(parameters).filter { $0.region.obstacle == nil }
        capacity.available = spaces.reduce(0) { $0 + $1.available }
        capacity.maximumVolumeSize = spaces.map(\.maximum).max() ?? 0
        capacity.minimumVolumeSize = spaces.compactMap(\.minimum).min() ?? 0
        capacity.total = spaces.reduce(0) { $0 + $1.total }
        return capacity
    }

    /// The region of those allowed in which the least is wasted: what stays of the piece that the volume gets is the
    /// smallest.
    ///
    /// Throws `notEnoughSpace`, `outOfRange`.
    package func place(_ spec: VolumeSpec) throws(DeviceError) -> Region {
        let spaces = spaces(spec.parameters)
        guard !spaces.isEmpty else { throw noRegion(for: spec) }
        var best: (waste: UInt64, region: Region)?
        var refusal: DeviceError?
        for space in spaces where space.region.obstacle == nil {
            do throws(DeviceError) {
                guard let waste = space.waste(ofRaw: try space.raw(for: spec.size)) else { continue }
                if waste < best?.waste ?? .max { best = (waste, space.region) }
            } catch {
                refusal = error
            }
        }
        if let best { return best.region }
        // Where one region could have such a volume it is only the room that is missing.
        let isRefused = spaces.allSatisfy { space in
            space.region.obstacle != nil || (try? space.raw(for: spec.size)) == nil
        }
        if let refusal, isRefused { throw refusal }
        throw noRoom(for: spec, in: spaces)
    }

    package func noRoom(for spec: VolumeSpec, in spaces: [RegionSpace]) -> DeviceError {
        let layout = NamespaceLayout(spec.parameters)
        return DeviceError(
            .notEnoughSpace,
            "volume \(spec.id): no room for \(spec.size.required) bytes of nsmode \(layout.mode.rawValue), which have to "
                + "be in one piece; free are: \(spaces.map(\.summary).joined(separator: "; "))")
    }

    /// Of the regions that the parameters allow, whether they can be used or not.
    package func spaces(_ parameters: VolumeParameters) -> [RegionSpace] {
        let wanted = parameters.namespace ?? NamespaceParameters()
        let allowed = regions.filter { region in
            (wanted.region == nil || wanted.region == region.devname)
                && (wanted.numaNode == nil || wanted.numaNode == region.numaNode)
        }
        return allowed.map { RegionSpace($0, NamespaceLayout(parameters)) }
    }

    private func noRegion(for spec: VolumeSpec) -> DeviceError {
        let wanted = spec.parameters.namespace ?? NamespaceParameters()
        let words = [wanted.region.map { "region \($0)" }, wanted.numaNode.map { "numaNode \($0)" }].compactMap(\.self)
        let there = regions.map { region in
            region.devname + (region.numaNode.map { " on NUMA node \($0)" } ?? "")
        }
        return DeviceError(
            .notEnoughSpace,
            "volume \(spec.id): no region of persistent memory here is "
                + (words.isEmpty ? "to be had" : "that of \(words.joined(separator: " and "))")
                + "; there are: \(there.isEmpty ? "none" : there.joined(separator: ", "))")
    }
}
