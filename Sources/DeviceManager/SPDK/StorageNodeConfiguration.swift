/// How volumes of a storage node reach their hosts.
package enum TargetType: String, Sendable, CaseIterable {
    case tcp = "nvme-tcp"
    case rdma = "nvme-rdma"
    case iscsi

    /// As SPDK and the volume context write it.
    package var transport: String {
        switch self {
        case .tcp: "TCP"
        case .rdma: "RDMA"
        case .iscsi: "iscsi"
        }
    }

    package var port: UInt16 { self == .iscsi ? 3260 : 4420 }
}

/// One entry of `nodes` in config.json, checked.
package struct StorageNodeConfiguration: Sendable, Equatable {
    package let name: String
    package let rpc: RPCAddress
    package let type: TargetType
    package let port: UInt16
    /// Where hosts connect; never empty.
    package let addresses: [PortalAddress]
    /// Where the target listens: the same, unless something between translates addresses.
    package let listening: [PortalAddress]
    /// Where volumes are made; empty for all logical volume stores.
    package let stores: [String]
    /// The sizes of thin volumes together, in relation to the store.
    package let overcommit: Double

    package init(_ node: JSONNode, at place: String) throws(ConfigurationError) {
        var reader = try ConfigurationReader(node, at: place)
        name = try reader.name("name")
        do throws(ConfigurationError) {
            rpc = try RPCAddress(try reader.text("rpcURL"))
            let word = try reader.text("targetType")
            guard let type = TargetType(rawValue: word.lowercased()) else {
                let known = TargetType.allCases.map(\.rawValue).joined(separator: ", ")
                throw ConfigurationError("targetType is \"\(word)\"; it can be \(known)")
            }
            self.type = type
        } catch {
            throw error.at(error.description.hasPrefix("targetType") ? place : reader.at("rpcURL"))
        }
        port = try reader.port("port") ?? type.port
        addresses = try reader.addresses("targetAddr", port: port)
        guard !addresses.isEmpty else { throw ConfigurationError("\(reader.at("targetAddr")): it is missing") }
        listening = try Self.listening(&reader, addresses, port: port)
        stores = try reader.texts("lvstores")
        overcommit = try reader.number("thinOvercommit", in: 1...1000) ?? 1
        try reader.finish()
    }

    private static func listening(
        _ reader: inout ConfigurationReader, _ addresses: [PortalAddress], port: UInt16
    ) throws(ConfigurationError) -> [PortalAddress] {
        let own = try reader.addresses("listenAddr", port: port)
        let listening = own.isEmpty ? addresses : own
        guard let name = listening.first(where: { !$0.isNumeric })?.host else { return listening }
        throw ConfigurationError(
            "\(reader.at(own.isEmpty ? "targetAddr" : "listenAddr")): \"\(name)\" is a name, and SPDK listens on numeric "
                + "addresses only\(own.isEmpty ? "; listenAddr says which, if hosts are to use the name" : "")")
    }

    /// Whether volumes may be made in the store.
    package func uses(store: String) -> Bool { stores.isEmpty || stores.contains(store) }
}

/// config.json: the storage nodes.
package struct SPDKConfiguration: Sendable, Equatable {
    /// Part of the hosts' names, so that two clusters on one target have different ones; empty by default.
    package let clusterName: String
    package let nodes: [StorageNodeConfiguration]

    package init(_ file: JSONNode) throws(ConfigurationError) {
        var reader = try ConfigurationReader(file, at: "")
        clusterName = try reader.optionalText("clusterName") ?? ""
        var nodes: [StorageNodeConfiguration] = []
        for (index, entry) in try reader.list("nodes").enumerated() {
            let node = try StorageNodeConfiguration(entry, at: "nodes[\(index)]")
            guard !nodes.contains(where: { $0.name == node.name }) else {
                throw ConfigurationError("nodes[\(index)].name: \"\(node.name)\" is there twice")
            }
            nodes.append(node)
        }
        guard !nodes.isEmpty else { throw ConfigurationError("nodes: there is no storage node") }
        try reader.finish()
        self.nodes = nodes
    }

    package func node(_ name: String) -> StorageNodeConfiguration? { nodes.first { $0.name == name } }
}

/// secret.json: users and passwords of the storage nodes' proxies, by node.
package struct SPDKSecrets: Sendable, Equatable {
    package let tokens: [String: RPCCredentials]

    package init(_ file: JSONNode) throws(ConfigurationError) {
        var reader = try ConfigurationReader(file, at: "")
        var tokens: [String: RPCCredentials] = [:]
        for (index, entry) in try reader.list("rpcTokens").enumerated() {
            var token = try ConfigurationReader(entry, at: "rpcTokens[\(index)]")
            let name = try token.name("name")
            guard tokens[name] == nil else {
                throw ConfigurationError("rpcTokens[\(index)].name: \"\(name)\" is there twice")
            }
            tokens[name] = RPCCredentials(
                username: try token.text("username"), password: try token.text("password"))
            try token.finish()
        }
        try reader.finish()
        self.tokens = tokens
    }
}
