import CSIProto
import ClusterProto
import DeviceManager
import LVM
import Ndctl
import SwiftProtobuf

// What becomes of each kind of fact: a section, and what of it needs attention.
extension StatusReport {
    /// A node calls every minute; two calls that did not come are no chance.
    private static let longSilence = 150
    /// Percent of a group that is free, below which somebody will soon be refused.
    private static let scarce: UInt64 = 5
    /// Percent of the free memory of a region that no single volume can have.
    private static let fragmented: UInt64 = 50

    mutating func add(driver: Csi_V1_GetPluginInfoResponse, state: String) {
        sections.append(
            Section(
                name: "driver", columns: ["name", "version", "state"],
                rows: [[.text(driver.name), .text(driver.vendorVersion), .text(state)]]))
        if state != "ready" { attention.append("driver \(driver.name) is not ready: \(state)") }
    }

    mutating func add(volumes: [Csi_V1_ListVolumesResponse.Entry]) {
        sections.append(
            Section(
                name: "volumes", columns: ["id", "name", "size", "on", "used by"],
                rows: volumes.map { entry in
                    let places = entry.volume.accessibleTopology.flatMap(\.segments.values).sorted()
                    return [
                        .text(entry.volume.volumeID), .text(entry.volume.volumeContext["name"] ?? ""),
                        .bytes(UInt64(clamping: entry.volume.capacityBytes)), .list(places),
                        .list(entry.status.publishedNodeIds),
                    ]
                }))
        for entry in volumes where entry.status.volumeCondition.abnormal {
            attention.append("volume \(entry.volume.volumeID): \(entry.status.volumeCondition.message)")
        }
    }

    mutating func add(room: Csi_V1_GetCapacityResponse) {
        let available = UInt64(clamping: room.availableCapacity)
        let largest = UInt64(clamping: room.maximumVolumeSize.value)
        sections.append(
            Section(
                name: "room", columns: ["available", "largest volume"], rows: [[.bytes(available), .bytes(largest)]]))
        if largest == 0 { attention.append("room: no volume can be made") }
    }

    mutating func add(nodes: [Pmemcsi_V0_Node]) {
        sections.append(
            Section(
                name: "nodes", columns: ["node", "state", "volumes", "snapshots", "available", "silent s", "endpoint"],
                rows: nodes.map {
                    [
                        .text($0.nodeID), .text($0.state), .count(Int($0.volumes)), .count(Int($0.snapshots)),
                        .bytes(UInt64(clamping: $0.availableBytes)), .count(Int($0.secondsSilent)), .text($0.endpoint),
                    ]
                }))
        if !nodes.contains(where: { $0.state == "registered" }) { attention.append("nodes: none is registered") }
        for node in nodes where node.state == "away" {
            attention.append(
                "node \(node.nodeID) is away, with \(node.volumes) volumes; csictl node forget \(node.nodeID) if it is scrapped"
            )
        }
        for node in nodes where node.state == "registered" && node.secondsSilent > Self.longSilence {
            attention.append("node \(node.nodeID) has been silent for \(node.secondsSilent) s")
        }
    }

    mutating func add(regions: [Region]) {
        var section = Section(
            name: "regions",
            columns: ["region", "numa node", "size", "namespaces", "free", "largest piece", "pieces", "fragmented %"])
        for region in regions {
            let pieces = region.freeExtents
            let free = pieces.reduce(0, +)
            let largest = pieces.max() ?? 0
            let lost = free == 0 ? 0 : (free - largest) / max(free / 100, 1)
            section.rows.append([
                .text(region.devname), .text(region.numaNode.map(String.init) ?? ""), .bytes(region.size),
                .count(region.namespaces.count), .bytes(free), .bytes(largest), .count(pieces.count), .count(Int(lost)),
            ])
            if let obstacle = region.obstacle { attention.append(obstacle) }
            if lost >= Self.fragmented {
                attention.append(
                    "\(region.devname): \(lost) % of what is free is in other pieces than the largest; with "
                        + "-deviceManager=direct no volume can have it in one")
            }
            for namespace in region.namespaces where namespace.alternateName == "pmem-csi.new" {
                attention.append("\(namespace.devname) is half made; pmem-ns-init takes it back at its next run")
            }
        }
        sections.append(section)
    }

    mutating func add(groups: [VolumeGroup]) {
        var section = Section(name: "groups", columns: ["group", "size", "free", "volumes"])
        for group in groups.sorted(by: { $0.name < $1.name }) {
            section.rows.append([
                .text(group.name), .bytes(group.size), .bytes(group.free),
                .count(group.logicalVolumes.filter { !$0.isPool }.count),
            ])
            for device in group.physicalVolumes where device.isMissing {
                attention.append("group \(group.name): device \(device.device) is missing")
            }
            if group.free < group.size / 100 * Self.scarce {
                attention.append("group \(group.name) is nearly full: \(group.free) of \(group.size) bytes are free")
            }
        }
        sections.append(section)
    }
}
