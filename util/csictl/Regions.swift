import DeviceManager
import Ndctl

/// `csictl regions`: what the regions of this machine have for volumes that are namespaces, and in how many pieces.
///
/// It asks the kernel, not the driver, so it needs root, and works without a driver.
enum Regions {
    static func run() throws {
        let regions = try Ndctl().snapshot()
        guard !regions.isEmpty else { return print("there is no region of persistent memory") }
        for region in regions { print(line(region)) }
    }

    static func line(_ region: Region) -> String {
        let volumes = region.namespaces.filter { VolumeID($0.alternateName) != nil }
        let node = region.numaNode.map { " on NUMA node \($0)" } ?? ""
        let count = "\(volumes.count) volumes, \(region.namespaces.count - volumes.count) other namespaces"
        return "\(region.devname)\(node): \(region.size) bytes; \(count); \(room(region))"
    }

    private static func room(_ region: Region) -> String {
        if let obstacle = region.obstacle { return "not used: \(obstacle)" }
        let spaces = NamespaceMode.allCases.map { mode in
            var parameters = VolumeParameters()
            parameters.mode = mode
            return (mode, RegionSpace(region, NamespaceLayout(parameters)))
        }
        guard let pieces = spaces.first?.1.pieces, !pieces.isEmpty else { return "nothing is free" }
        let sizes = pieces.map(String.init).joined(separator: " + ")
        let largest = spaces.map { "\($0.1.maximum) of \($0.0.rawValue)" }.joined(separator: " or ")
        return "free are \(sizes) bytes in \(pieces.count) pieces; the largest volume has \(largest)"
    }
}
