import CSIProto
import GRPCCore
import SwiftProtobuf

/// Volumes are made where they can be reached, or not at all.
enum TopologyChecks {
    static let topic = Topic(
        "Topology",
        [
            Check("the node has a topology, and volumes say it", needs: [.topology]) { driver in
                let own = driver.facts.node.accessibleTopology
                try require(!own.segments.isEmpty, "NodeGetInfo has no accessible_topology")
                let volume = try await driver.volume()
                try require(volume.answer.accessibleTopology.contains(own), "\(volume.answer.accessibleTopology)")
                return own.segments.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
            },
            Check("requisite: this node, or one of several", needs: [.topology]) { driver in
                let own = driver.facts.node.accessibleTopology
                for topologies in [[own], [elsewhere(own), own], [uppercased(own)]] {
                    let request = driver.creation().changing {
                        $0.accessibilityRequirements.requisite = topologies
                        $0.accessibilityRequirements.preferred = topologies
                    }
                    try await driver.expect(.ok, of: request, "at \(topologies.map(\.segments))")
                }
                return "also with keys in capitals"
            },
            Check("requisite: only elsewhere", needs: [.topology]) { driver in
                let own = driver.facts.node.accessibleTopology
                let request = driver.creation().changing {
                    $0.accessibilityRequirements.requisite = [elsewhere(own)]
                }
                // A controller cannot know whether a node that it never heard of will come.
                let outcome = try await driver.expect(.resourceExhausted, .unavailable, of: request)
                let volume = try await driver.volume()
                let moved = volume.request.changing { $0.accessibilityRequirements.requisite = [elsewhere(own)] }
                try await driver.expect(.alreadyExists, of: moved, "for a volume that is here")
                return "\(outcome); a volume that is here ALREADY_EXISTS"
            },
            Check("preferred: elsewhere is only a wish", needs: [.topology]) { driver in
                let own = driver.facts.node.accessibleTopology
                let request = driver.creation().changing {
                    $0.accessibilityRequirements.requisite = [own]
                    $0.accessibilityRequirements.preferred = [own]
                }
                let volume = try await driver.create(request)
                try requireEqual(try await driver.create(request).id, volume.id, "id")
                return volume.id
            },
            Check("GetCapacity elsewhere is 0", needs: [.topology, .capacity]) { driver in
                let own = driver.facts.node.accessibleTopology
                let here = try await driver.free { $0.accessibleTopology = own }
                let there = try await driver.free { $0.accessibleTopology = elsewhere(own) }
                try require(here > 0 && there == 0, "here \(here), elsewhere \(there)")
                return "here \(mebibytes(here))"
            },
        ])

    private static func elsewhere(_ own: Csi_V1_Topology) -> Csi_V1_Topology {
        .with { $0.segments = own.segments.mapValues { _ in "elsewhere" } }
    }

    /// Keys are case-insensitive.
    private static func uppercased(_ own: Csi_V1_Topology) -> Csi_V1_Topology {
        .with { topology in
            for (key, value) in own.segments { topology.segments[key.uppercased()] = value }
        }
    }
}

extension Driver {
    func capacity(
        _ change: (inout Csi_V1_GetCapacityRequest) -> Void = { _ in }
    ) async throws -> Csi_V1_GetCapacityResponse {
        try await send(Csi_V1_GetCapacityRequest.with { $0.parameters = settings.parameters }.changing(change))
    }

    func free(_ change: (inout Csi_V1_GetCapacityRequest) -> Void = { _ in }) async throws -> Int64 {
        try await capacity(change).availableCapacity
    }
}
