/// An NVMe-oF subsystem as the target tells of it.
package struct Subsystem: Sendable, Decodable, Equatable {
    package struct Host: Sendable, Decodable, Equatable {
        package let nqn: String
    }

    package struct Namespace: Sendable, Decodable, Equatable {
        package let nsid: Int
        package let bdevName: String
        package let uuid: String?

        private enum CodingKeys: String, CodingKey {
            case nsid, uuid
            case bdevName = "bdev_name"
        }
    }

    package struct Listener: Sendable, Decodable, Equatable {
        package let trtype: String?
        package let adrfam: String?
        package let traddr: String
        package let trsvcid: String?
    }

    package let nqn: String
    package let allowsAnyHost: Bool
    package let hosts: [Host]
    package let namespaces: [Namespace]
    package let listeners: [Listener]

    private enum CodingKeys: String, CodingKey {
        case nqn, hosts, namespaces
        case allowsAnyHost = "allow_any_host"
        case listeners = "listen_addresses"
    }

    /// The discovery subsystem has neither namespaces nor, in some versions, hosts.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        nqn = try values.decode(String.self, forKey: .nqn)
        allowsAnyHost = try values.decodeIfPresent(Bool.self, forKey: .allowsAnyHost) ?? false
        hosts = try values.decodeIfPresent([Host].self, forKey: .hosts) ?? []
        namespaces = try values.decodeIfPresent([Namespace].self, forKey: .namespaces) ?? []
        listeners = try values.decodeIfPresent([Listener].self, forKey: .listeners) ?? []
    }

    func listens(at address: PortalAddress, _ type: TargetType) -> Bool {
        listeners.contains {
            $0.traddr.lowercased() == address.host.lowercased() && $0.trsvcid == "\(address.port)"
                && ($0.trtype ?? "").uppercased() == type.transport
        }
    }

    private static let prefix = "nqn.2020-04.io.spdk.csi:uuid:"

    /// The name of a volume's subsystem.
    package static func nqn(_ uuid: String) -> String { prefix + uuid }

    /// Whose it is; nil where it is not a volume's.
    package static func volume(_ nqn: String) -> String? {
        nqn.hasPrefix(prefix) ? String(nqn.dropFirst(prefix.count)) : nil
    }
}

/// How a volume is to be seen by hosts.
package struct Export: Sendable, Equatable {
    package let allowsAnyHost: Bool
    /// Host NQNs to let in at least; nothing where any may come in.
    package let hosts: Set<String>

    package init(allowsAnyHost: Bool, hosts: Set<String> = []) {
        self.allowsAnyHost = allowsAnyHost
        self.hosts = hosts
    }
}

// Exports over NVMe-oF: transport, subsystem, namespace, hosts and listeners, each where it is missing.
extension SPDKTarget {
    package func subsystem(_ uuid: String) async throws(SPDKError) -> Subsystem? {
        do {
            let found: [Subsystem] = try await client.read(
                "nvmf_get_subsystems", ["nqn": .string(Subsystem.nqn(uuid))])
            return found.first
        } catch {
            guard error.refusal == .notFound || error.refusal == .parameters else { throw error }
            return nil
        }
    }

    package func subsystems(timeout: Duration = .seconds(15)) async throws(SPDKError) -> [Subsystem] {
        try await client.read("nvmf_get_subsystems", timeout: timeout)
    }

    /// Listeners come last, so that a host that reconnects finds itself let in and the namespace there.
    func exportNVMe(_ uuid: String, _ export: Export) async throws(SPDKError) {
        let subsystem = try await makeSubsystem(uuid, export)
        if subsystem.allowsAnyHost, !export.allowsAnyHost {
            try await tell(
                "nvmf_subsystem_allow_any_host",
                ["nqn": .string(subsystem.nqn), "allow_any_host": false])
        }
        try await addNamespace(uuid, to: subsystem)
        for host in export.hosts.subtracting(subsystem.hosts.map(\.nqn)) { try await letIn(host, to: uuid) }
        for address in node.listening where !subsystem.listens(at: address, node.type) {
            try await listen(subsystem.nqn, at: address)
        }
    }

    private func makeSubsystem(_ uuid: String, _ export: Export) async throws(SPDKError) -> Subsystem {
        if let subsystem = try await subsystem(uuid) { return subsystem }
        try await makeTransport()
        let serial = String(uuid.filter { $0 != "-" }.prefix(20))
        do {
            try await tell(
                "nvmf_create_subsystem",
                [
                    "nqn": .string(Subsystem.nqn(uuid)), "allow_any_host": .bool(export.allowsAnyHost),
                    "serial_number": .string(serial), "model_number": .string(uuid),
                ])
        } catch {
            guard error.refusal != nil else { throw error }
            // Somebody else was faster.
            guard let subsystem = try await subsystem(uuid) else { throw error }
            return subsystem
        }
        guard let subsystem = try await subsystem(uuid) else {
            throw SPDKError(.lost, "storage node \(node.name): the subsystem of \(uuid) is gone as soon as it was made")
        }
        return subsystem
    }

    private struct TransportReply: Decodable, Sendable {
        let trtype: String
    }

    private func makeTransport() async throws(SPDKError) {
        let found: [TransportReply] = try await client.read("nvmf_get_transports")
        guard !found.contains(where: { $0.trtype.uppercased() == node.type.transport }) else { return }
        do {
            try await tell("nvmf_create_transport", ["trtype": .string(node.type.transport)])
        } catch {
            guard error.refusal == .exists else { throw error }
            return
        }
    }

    private func addNamespace(_ uuid: String, to subsystem: Subsystem) async throws(SPDKError) {
        guard !subsystem.namespaces.contains(where: { $0.uuid?.lowercased() == uuid || $0.bdevName == uuid }) else {
            return
        }
        do {
            try await tell(
                "nvmf_subsystem_add_ns",
                ["nqn": .string(subsystem.nqn), "namespace": ["bdev_name": .string(uuid), "nsid": 1]])
        } catch {
            guard error.refusal != nil else { throw error }
            guard try await self.subsystem(uuid)?.namespaces.isEmpty == false else { throw error }
        }
    }

    private func listen(_ nqn: String, at address: PortalAddress) async throws(SPDKError) {
        do {
            try await tell(
                "nvmf_subsystem_add_listener",
                [
                    "nqn": .string(nqn),
                    "listen_address": [
                        "trtype": .string(node.type.transport), "adrfam": address.isIPv6 ? "IPv6" : "IPv4",
                        "traddr": .string(address.host), "trsvcid": .string("\(address.port)"),
                    ],
                ])
        } catch {
            guard error.refusal != nil else { throw error }
            // One that is there already is refused with the words for everything.
            let found: [Subsystem] = try await client.read("nvmf_get_subsystems", ["nqn": .string(nqn)])
            guard found.first?.listens(at: address, node.type) == true else { throw error }
        }
    }

    /// Lets a host in; twice is as once.
    package func letIn(_ host: String, to uuid: String) async throws(SPDKError) {
        let nqn = Subsystem.nqn(uuid)
        do {
            try await tell("nvmf_subsystem_add_host", ["nqn": .string(nqn), "host": .string(host)])
        } catch {
            guard error.refusal != nil else { throw error }
            guard try await subsystem(uuid)?.hosts.contains(where: { $0.nqn == host }) == true else { throw error }
        }
    }

    /// Keeps a host out, and disconnects it; twice is as once.
    package func keepOut(_ host: String, of uuid: String) async throws(SPDKError) {
        guard try await subsystem(uuid)?.hosts.contains(where: { $0.nqn == host }) == true else { return }
        do {
            try await tell(
                "nvmf_subsystem_remove_host", ["nqn": .string(Subsystem.nqn(uuid)), "host": .string(host)])
        } catch {
            guard error.refusal != nil else { throw error }
            guard try await subsystem(uuid)?.hosts.contains(where: { $0.nqn == host }) != true else { throw error }
        }
    }

    package func removeSubsystem(_ uuid: String) async throws(SPDKError) {
        guard try await subsystem(uuid) != nil else { return }
        do {
            try await tell("nvmf_delete_subsystem", ["nqn": .string(Subsystem.nqn(uuid))])
        } catch {
            guard error.refusal != nil else { throw error }
            guard try await subsystem(uuid) == nil else { throw error }
        }
    }

    /// A change with no answer but that it was made.
    func tell(_ method: String, _ parameters: [String: JSONNode]) async throws(SPDKError) {
        let _: JSONNode = try await settled { () throws(SPDKError) in try await client.change(method, parameters) }
    }
}
