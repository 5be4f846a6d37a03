import CSIProto
import SwiftProtobuf

/// Where this process's volumes can be reached: one segment, `<drivername>/node` with the node id.
package struct Topology: Sendable {
    package let key: String
    package let node: String

    package init(driverName: String, node: String) {
        key = Self.key(driverName: driverName)
        self.node = node
    }

    var message: Csi_V1_Topology { .with { $0.segments = [key: node] } }

    /// Whether a topology describes this node; keys are case-insensitive (CSI, message Topology).
    func matches(_ segments: [String: String]) -> Bool {
        Self.node(segments, key: key) == node
    }

    /// The node that a topology describes; nil when it says anything else besides.
    static func node(_ segments: [String: String], key: String) -> String? {
        guard let node = segments.values.first,
            segments.allSatisfy({ $0.key.lowercased() == key.lowercased() && $0.value == node })
        else { return nil }
        return node
    }

    package static func key(driverName: String) -> String { "\(driverName)/node" }
}

/// The accessibility requirements of a CreateVolume request: any one of `requisite` will do, if there are some.
struct TopologyRequirement: Sendable {
    let requisite: [[String: String]]
    let preferred: [[String: String]]

    init(_ message: Csi_V1_TopologyRequirement) throws(RequestError) {
        requisite = message.requisite.map(\.segments)
        preferred = message.preferred.map(\.segments)
        for segments in requisite + preferred { try FieldLimits.map(segments, "accessibility_requirements") }
    }

    func allows(_ topology: Topology) -> Bool {
        requisite.isEmpty || requisite.contains(where: topology.matches)
    }
}
