/// An iSCSI target as SPDK tells of it.
package struct ISCSITarget: Sendable, Decodable {
    package let name: String

    private static let prefix = "iqn.2016-06.io.spdk:"

    package static func iqn(_ uuid: String) -> String { prefix + uuid }

    /// Whose it is; nil where it is not a volume's.
    package var volume: String? { name.hasPrefix(Self.prefix) ? String(name.dropFirst(Self.prefix.count)) : nil }
}

private struct PortalGroup: Decodable, Sendable {
    struct Portal: Decodable, Sendable, Hashable {
        let host: String
        let port: String
    }

    let tag: Int
    let portals: [Portal]
}

private struct InitiatorGroup: Decodable, Sendable {
    let tag: Int
    let initiators: [String]
    let netmasks: [String]

    var isOpen: Bool {
        initiators.contains { $0.uppercased() == "ANY" } && netmasks.contains { $0.uppercased() == "ANY" }
    }
}

// Exports over iSCSI: a portal group with this node's portals, a group of any initiators, a target for each volume.
extension SPDKTarget {
    package func iscsiTargets() async throws(SPDKError) -> [ISCSITarget] {
        try await client.read("iscsi_get_target_nodes", timeout: .seconds(15))
    }

    private func hasTarget(_ uuid: String) async throws(SPDKError) -> Bool {
        try await iscsiTargets().contains { $0.name == ISCSITarget.iqn(uuid) }
    }

    func exportISCSI(_ uuid: String) async throws(SPDKError) {
        guard try await !hasTarget(uuid) else { return }
        let portals = try await portalGroup(), initiators = try await initiatorGroup()
        do {
            try await tell(
                "iscsi_create_target_node",
                [
                    "name": .string(ISCSITarget.iqn(uuid)), "alias_name": .string(uuid),
                    "luns": [["lun_id": 0, "bdev_name": .string(uuid)]],
                    "pg_ig_maps": [["pg_tag": .integer(portals), "ig_tag": .integer(initiators)]],
                    "disable_chap": true, "queue_depth": 64,
                ])
        } catch {
            guard error.refusal != nil else { throw error }
            guard try await hasTarget(uuid) else { throw error }
        }
    }

    func removeISCSITarget(_ uuid: String) async throws(SPDKError) {
        guard try await hasTarget(uuid) else { return }
        do {
            try await tell("iscsi_delete_target_node", ["name": .string(ISCSITarget.iqn(uuid))])
        } catch {
            guard error.refusal != nil else { throw error }
            guard try await !hasTarget(uuid) else { throw error }
        }
    }

    /// A group that somebody else made with other addresses is not used.
    private func portalGroup() async throws(SPDKError) -> Int {
        let wanted = Set(node.listening.map { PortalGroup.Portal(host: $0.host, port: "\($0.port)") })
        var last: SPDKError?
        for _ in 0..<3 {
            let groups: [PortalGroup] = try await client.read("iscsi_get_portal_groups")
            if let group = groups.first(where: { Set($0.portals) == wanted }) { return group.tag }
            let tag = Self.free(groups.map(\.tag))
            let portals = wanted.sorted { ($0.host, $0.port) < ($1.host, $1.port) }.map { portal -> JSONNode in
                ["host": .string(portal.host), "port": .string(portal.port)]
            }
            do {
                try await tell("iscsi_create_portal_group", ["tag": .integer(tag), "portals": .array(portals)])
                return tag
            } catch {
                // The tag was taken a moment ago: SPDK has one answer for everything.
                guard error.refusal != nil else { throw error }
                last = error
            }
        }
        throw last ?? SPDKError(.notSent, "storage node \(node.name): its portal groups change all the time")
    }

    private func initiatorGroup() async throws(SPDKError) -> Int {
        var last: SPDKError?
        for _ in 0..<3 {
            let groups: [InitiatorGroup] = try await client.read("iscsi_get_initiator_groups")
            if let group = groups.first(where: \.isOpen) { return group.tag }
            let tag = Self.free(groups.map(\.tag))
            do {
                try await tell(
                    "iscsi_create_initiator_group",
                    ["tag": .integer(tag), "initiators": ["ANY"], "netmasks": ["ANY"]])
                return tag
            } catch {
                // The tag was taken a moment ago: SPDK has one answer for everything.
                guard error.refusal != nil else { throw error }
                last = error
            }
        }
        throw last ?? SPDKError(.notSent, "storage node \(node.name): its initiator groups change all the time")
    }

    private static func free(_ tags: [Int]) -> Int {
        (1...(tags.count + 1)).first { !tags.contains($0) } ?? 1
    }
}

// Whatever the transport.
extension SPDKTarget {
    package func export(_ uuid: String, _ export: Export) async throws(SPDKError) {
        if node.type == .iscsi { try await exportISCSI(uuid) } else { try await exportNVMe(uuid, export) }
    }

    package func unexport(_ uuid: String) async throws(SPDKError) {
        if node.type == .iscsi { try await removeISCSITarget(uuid) } else { try await removeSubsystem(uuid) }
    }

    package func isExported(_ uuid: String) async throws(SPDKError) -> Bool {
        if node.type == .iscsi { return try await hasTarget(uuid) }
        guard let subsystem = try await subsystem(uuid) else { return false }
        return isComplete(subsystem)
    }

    package func isComplete(_ subsystem: Subsystem) -> Bool {
        !subsystem.namespaces.isEmpty && node.listening.allSatisfy { subsystem.listens(at: $0, node.type) }
    }
}
