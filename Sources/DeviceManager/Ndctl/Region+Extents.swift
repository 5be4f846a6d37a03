extension Region {
    /// The unit of namespace sizes: the least common multiple of what page maps and the kernel ask for.
    package var alignment: UInt64 {
        let perDIMM = pfnAlign > 0 ? pfnAlign : Self.defaultPFNAlign
        // A product that does not fit asks for more than any memory has.
        let (interleaved, overflow) = perDIMM.multipliedReportingOverflow(by: UInt64(max(interleaveWays, 1)))
        guard !overflow else { return .max }
        var (divisor, rest) = (interleaved, kernelAlign)
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest)
        }
        let (multiple, tooLarge) = (interleaved / divisor).multipliedReportingOverflow(by: kernelAlign)
        return tooLarge ? .max : multiple
    }

    private var kernelAlign: UInt64 {
        guard let regionAlign, regionAlign > 1 else { return Self.fallbackAlign }
        return regionAlign
    }

    package func alignedDown(_ size: UInt64) -> UInt64 {
        size - size % alignment
    }

    /// nil if the result would not fit.
    package func alignedUp(_ size: UInt64) -> UInt64? {
        let rest = size % alignment
        guard rest > 0 else { return size }
        let (result, overflow) = size.addingReportingOverflow(alignment - rest)
        return overflow ? nil : result
    }

    /// The sizes of the free pieces in the order of their addresses, which is the order in which the kernel uses
    /// them. Where the addresses are not known, or do not agree with the kernel's figure, the largest piece only.
    package var freeExtents: [UInt64] {
        let largestOnly = maxAvailableExtent > 0 ? [maxAvailableExtent] : []
        guard let resource, let gaps = Self.gaps(from: resource, size: size, namespaces) else { return largestOnly }
        let extents = gaps.map(usable).filter { $0 > 0 }
        return (extents.max() ?? 0) == maxAvailableExtent ? extents : largestOnly
    }

    /// As offsets from the region's start: the kernel aligns on the DIMMs, and a region may start at any address.
    private static func gaps(from start: UInt64, size: UInt64, _ namespaces: [Namespace]) -> [Range<UInt64>]? {
        guard !start.addingReportingOverflow(size).overflow else { return nil }
        var result: [Range<UInt64>] = []
        var position: UInt64 = 0
        for (address, length) in namespaces.map({ ($0.resource, $0.rawSize) }).sorted(by: { $0.0 ?? 0 < $1.0 ?? 0 }) {
            guard let address, address >= start else { return nil }
            let first = address - start
            guard first >= position, first <= size, length <= size - first else { return nil }
            result.append(position..<first)
            position = first + length
        }
        return result + [position..<size]
    }

    /// The kernel gives away whole units of its alignment only.
    private func usable(_ gap: Range<UInt64>) -> UInt64 {
        let padding = (kernelAlign - gap.lowerBound % kernelAlign) % kernelAlign
        let (start, overflow) = gap.lowerBound.addingReportingOverflow(padding)
        let end = gap.upperBound - gap.upperBound % kernelAlign
        return overflow || start >= end ? 0 : end - start
    }
}

extension Region {
    /// The region as it will be when these namespaces are gone.
    package func removing(_ devnames: Set<String>) -> Region {
        let gone = namespaces.filter { devnames.contains($0.devname) }
        guard !gone.isEmpty else { return self }
        let kept = namespaces.filter { !devnames.contains($0.devname) }
        let freed = gone.reduce(0) { $0 + $1.rawSize }
        let largest = resource.flatMap { Self.gaps(from: $0, size: size, kept) }?.map(usable).max()
        return Region(
            bus: bus, busProvider: busProvider, devname: devname, id: id, kind: kind, size: size,
            availableSize: availableSize + freed,
            maxAvailableExtent: largest ?? max(maxAvailableExtent, gone.map(\.rawSize).max() ?? 0),
            resource: resource, interleaveSet: interleaveSet, isEnabled: isEnabled, isReadOnly: isReadOnly,
            hasLabels: hasLabels,
            interleaveWays: interleaveWays, regionAlign: regionAlign, pfnAlign: pfnAlign, numaNode: numaNode,
            halfMade: halfMade.flatMap { devnames.contains($0) ? nil : $0 }, namespaces: kept)
    }
}
