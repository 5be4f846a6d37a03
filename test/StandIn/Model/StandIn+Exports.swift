import SPDK

/// What a `StandIn` shows to hosts; gone after a restart.
struct Exports {
    struct Listener: Hashable {
        let type: String
        let family: String
        let address: String
        let port: String
    }

    struct Subsystem {
        var allowsAnyHost: Bool
        let serial: String
        let model: String
        var hosts: [String] = []
        var namespaces: [String] = []
        var listeners: [Listener] = []
    }

    var transports: [String] = []
    var subsystems: [String: Subsystem] = [:]
    var portalGroups: [Int: [JSONNode]] = [:]
    var initiatorGroups: [Int: JSONNode] = [:]
    var targets: [String: JSONNode] = [:]
}

/// Shows volumes to hosts in truth; a `StandIn` tells it before it changes what it says itself.
package protocol Exporter: Sendable {
    func make(_ lvol: Lvol) throws
    func resize(_ uuid: String, size: UInt64) throws
    func remove(_ uuid: String) throws
    func addSubsystem(_ nqn: String, serial: String, model: String, allowsAnyHost: Bool) throws
    func removeSubsystem(_ nqn: String) throws
    func allowAnyHost(_ nqn: String, _ allows: Bool) throws
    func addNamespace(_ nqn: String, uuid: String) throws
    func addListener(_ nqn: String, address: String, family: String, port: String) throws
    func addHost(_ nqn: String, _ host: String) throws
    func removeHost(_ nqn: String, _ host: String) throws
    func addTarget(_ iqn: String, uuid: String, portals: [(host: String, port: String)]) throws
    func removeTarget(_ iqn: String) throws
    /// As when the process was killed.
    func removeAll() throws
}

extension StandIn {
    func export(_ method: String, _ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        switch method {
        case "nvmf_get_transports": return .array(state.exports.transports.map { ["trtype": .string($0)] })
        case "nvmf_create_transport":
            let type = try parameters.text("trtype").uppercased()
            guard !state.exports.transports.contains(type) else {
                throw StandInError(-32603, "Transport type '\(type)' already exists")
            }
            state.exports.transports.append(type)
            return true
        case "nvmf_get_subsystems":
            let discovery: JSONNode = [
                "nqn": "nqn.2014-08.org.nvmexpress.discovery", "subtype": "Discovery", "listen_addresses": [],
                "allow_any_host": true, "hosts": [],
            ]
            guard let nqn = parameters.optionalText("nqn") else {
                return .array(
                    [discovery]
                        + state.exports.subsystems.sorted { $0.key < $1.key }.map { description($0.key, $0.value) })
            }
            guard let subsystem = state.exports.subsystems[nqn] else { throw StandInError.noDevice }
            return .array([description(nqn, subsystem)])
        case "nvmf_create_subsystem": return try createSubsystem(parameters, &state)
        case let method where method.hasPrefix("nvmf_"):
            return try changeSubsystem(method, parameters, &state)
        default: return try iscsi(method, parameters, &state)
        }
    }

    private func description(_ nqn: String, _ subsystem: Exports.Subsystem) -> JSONNode {
        [
            "nqn": .string(nqn), "subtype": "NVMe", "allow_any_host": .bool(subsystem.allowsAnyHost),
            "hosts": .array(subsystem.hosts.map { ["nqn": .string($0)] }), "serial_number": .string(subsystem.serial),
            "model_number": .string(subsystem.model), "max_namespaces": 32,
            "listen_addresses": .array(
                subsystem.listeners.map { listener in
                    [
                        "trtype": .string(listener.type), "adrfam": .string(listener.family),
                        "traddr": .string(listener.address), "trsvcid": .string(listener.port),
                    ]
                }),
            "namespaces": .array(
                subsystem.namespaces.map { uuid in
                    ["nsid": 1, "bdev_name": .string(uuid), "name": .string(uuid), "uuid": .string(uuid)]
                }),
        ]
    }

    private func createSubsystem(_ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        let nqn = try parameters.text("nqn")
        guard state.exports.subsystems[nqn] == nil else {
            throw StandInError(-32603, "Unable to create subsystem \(nqn)")
        }
        let subsystem = Exports.Subsystem(
            allowsAnyHost: parameters.bool("allow_any_host") ?? false,
            serial: parameters.optionalText("serial_number") ?? "", model: parameters.optionalText("model_number") ?? ""
        )
        try exporter?.addSubsystem(
            nqn, serial: subsystem.serial, model: subsystem.model, allowsAnyHost: subsystem.allowsAnyHost)
        state.exports.subsystems[nqn] = subsystem
        return true
    }

    private func changeSubsystem(_ method: String, _ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        let nqn = try parameters.text("nqn")
        guard var subsystem = state.exports.subsystems[nqn] else { throw StandInError.invalid }
        switch method {
        case "nvmf_delete_subsystem":
            try exporter?.removeSubsystem(nqn)
            state.exports.subsystems[nqn] = nil
            return true
        case "nvmf_subsystem_add_ns":
            let uuid = state.lvols[try index(try parameters.object("namespace").text("bdev_name"), state)].uuid
            guard !subsystem.namespaces.contains(uuid) else { throw StandInError.invalid }
            try exporter?.addNamespace(nqn, uuid: uuid)
            subsystem.namespaces.append(uuid)
        case "nvmf_subsystem_add_listener":
            let place = try parameters.object("listen_address")
            let listener = Exports.Listener(
                type: try place.text("trtype"), family: try place.text("adrfam"), address: try place.text("traddr"),
                port: try place.text("trsvcid"))
            guard state.exports.transports.contains(listener.type.uppercased()), !subsystem.listeners.contains(listener)
            else { throw StandInError.invalid }
            try exporter?.addListener(
                nqn, address: listener.address, family: listener.family, port: listener.port)
            subsystem.listeners.append(listener)
        case "nvmf_subsystem_allow_any_host":
            subsystem.allowsAnyHost = parameters.bool("allow_any_host") ?? false
            try exporter?.allowAnyHost(nqn, subsystem.allowsAnyHost)
        case "nvmf_subsystem_add_host":
            let host = try parameters.text("host")
            guard !subsystem.hosts.contains(host) else { throw StandInError(-32603, "Internal error") }
            try exporter?.addHost(nqn, host)
            subsystem.hosts.append(host)
        case "nvmf_subsystem_remove_host":
            let host = try parameters.text("host")
            guard subsystem.hosts.contains(host) else { throw StandInError(-32603, "Internal error") }
            try exporter?.removeHost(nqn, host)
            subsystem.hosts.removeAll { $0 == host }
        default: throw StandInError.unknownMethod
        }
        state.exports.subsystems[nqn] = subsystem
        return true
    }

    private func iscsi(_ method: String, _ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        switch method {
        case "iscsi_get_portal_groups":
            try parameters.expectNone()
            return .array(
                state.exports.portalGroups.map { ["tag": .integer($0.key), "portals": .array($0.value)] })
        case "iscsi_get_initiator_groups":
            try parameters.expectNone()
            return .array(Array(state.exports.initiatorGroups.values))
        case "iscsi_get_target_nodes":
            try parameters.expectNone()
            return .array(Array(state.exports.targets.values))
        case "iscsi_create_portal_group":
            guard let tag = parameters.number("tag"), case .array(let portals) = parameters.values?["portals"],
                state.exports.portalGroups[tag] == nil
            else { throw StandInError.invalid }
            state.exports.portalGroups[tag] = portals
            return true
        case "iscsi_create_initiator_group":
            guard let tag = parameters.number("tag"), let values = parameters.values,
                state.exports.initiatorGroups[tag] == nil
            else { throw StandInError.invalid }
            state.exports.initiatorGroups[tag] = .object(values)
            return true
        case "iscsi_create_target_node": return try createTarget(parameters, &state)
        case "iscsi_delete_target_node":
            let name = try parameters.text("name")
            guard state.exports.targets[name] != nil else { throw StandInError(-2, "No such file or directory") }
            try exporter?.removeTarget(name)
            state.exports.targets[name] = nil
            return true
        default: throw StandInError.unknownMethod
        }
    }

    private func createTarget(_ parameters: Parameters, _ state: inout State) throws -> JSONNode {
        let name = try parameters.text("name")
        guard state.exports.targets[name] == nil, case .array(let luns) = parameters.values?["luns"],
            let lun = luns.first, case .array(let maps) = parameters.values?["pg_ig_maps"], let map = maps.first,
            let tag = try Parameters(map).number("pg_tag"), let portals = state.exports.portalGroups[tag]
        else { throw StandInError.invalid }
        let uuid = state.lvols[try index(try Parameters(lun).text("bdev_name"), state)].uuid
        try exporter?.addTarget(
            name, uuid: uuid,
            portals: try portals.map { (try Parameters($0).text("host"), try Parameters($0).text("port")) })
        state.exports.targets[name] = [
            "name": .string(name), "alias_name": .string(uuid), "luns": .array(luns), "pg_ig_maps": .array(maps),
        ]
        return true
    }
}
