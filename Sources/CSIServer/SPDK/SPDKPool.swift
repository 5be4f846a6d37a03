package import AsyncHTTPClient
package import DeviceManager
import FoundationEssentials
package import Logging
package import SPDK
import Synchronization

/// The volumes of SPDK storage nodes, for a controller. The truth is with the targets: every call asks them before it
/// acts, and there are no records here.
///
/// What is in memory (which node was asked for a name, who the hosts are, what was exported) only makes answers better.
package final class SPDKPool: VolumePool {
    let configuration: WatchedFile<SPDKConfiguration>
    let secrets: WatchedFile<SPDKSecrets>
    let driverName: String
    /// Part of the hosts' names: that of the start, since those of other names are let in until they are unpublished.
    package let clusterName: String
    /// In a process that is controller and node for one machine: that node's id.
    let onlyNode: String?
    let gate: OperationGate
    let logger: Logger
    let memory = Mutex(Memory())
    private let http: HTTPClient
    private let known = Mutex<[String: StorageNode]>([:])

    package init(
        configuration: WatchedFile<SPDKConfiguration>, secrets: WatchedFile<SPDKSecrets>, http: HTTPClient,
        driverName: String, onlyNode: String? = nil, gate: OperationGate, logger: Logger
    ) {
        self.configuration = configuration
        self.secrets = secrets
        self.http = http
        self.driverName = driverName
        clusterName = configuration.current?.clusterName ?? ""
        self.onlyNode = onlyNode
        self.gate = gate
        self.logger = logger
    }

    package var reach: VolumeCapability.Reach { .anywhere }
    package var readiness: Readiness { .ready }
    package var canExpand: Bool { true }
    package var canSnapshot: Bool { true }

    package var defaultParameters: VolumeParameters {
        var parameters = VolumeParameters()
        parameters.lvol = LvolParameters()
        return parameters
    }

    package func topology(of record: VolumeRecord) -> Topology? { nil }
    package func volumeID(_ text: String) -> VolumeID? { VolumeID(remote: text) }
    package func key(forName name: String) -> String { "volume named \(name)" }
    package func key(forSnapshot name: String) -> String { "snapshot named \(name)" }
}

// Storage nodes, and the way to them.
extension SPDKPool {
    var nodes: [StorageNodeConfiguration] { configuration.current?.nodes ?? [] }

    /// The cluster's name for a node in the same process, whose own file at `path` may say it too.
    package func clusterName(and own: String?, at path: String) throws(ConfigurationError) -> String {
        guard let own, own != clusterName else { return clusterName }
        throw ConfigurationError(
            "\(path): clusterName: it is \"\(own)\", and \"\(clusterName)\" in \(configuration.path); volumes with "
                + "access: host would not let this node in")
    }

    func state(_ node: StorageNodeConfiguration) -> StorageNode {
        known.withLock { known in
            if let state = known[node.name], state.address == node.rpc { return state }
            let state = StorageNode(node.rpc, http: http)
            known[node.name] = state
            return state
        }
    }

    /// The target with the credentials of the current call, or else those of the mounted file.
    func target(_ node: StorageNodeConfiguration) throws -> SPDKTarget {
        let client = RPCClient(node: node.name, line: state(node).line, credentials: try credentials(node))
        return SPDKTarget(node: node, client: client)
    }

    /// Whether the node can be asked without a call's secrets.
    func canAsk(_ node: StorageNodeConfiguration) -> Bool { (try? credentials(node)) != nil || node.rpc.isLocal }

    private func credentials(_ node: StorageNodeConfiguration) throws -> RPCCredentials? {
        guard !node.rpc.isLocal else { return nil }
        if let text = CallSecrets.current["secret.json"] {
            let secrets: SPDKSecrets
            do {
                secrets = try SPDKSecrets(try JSONDecoder().decode(JSONNode.self, from: Data(text.utf8)))
            } catch let error as ConfigurationError {
                throw RequestError(.invalidArgument, "secrets: secret.json: \(error)")
            } catch {
                throw RequestError(.invalidArgument, "secrets: secret.json is no JSON")
            }
            if let token = secrets.tokens[node.name] { return token }
        }
        if let token = secrets.current?.tokens[node.name] { return token }
        throw RequestError(
            .failedPrecondition,
            "there is no username and password for storage node \(node.name): neither the call's secret.json nor "
                + "\(secrets.path) has an entry of that name in rpcTokens")
    }

    /// Asks every node at once; one that does not answer is in the result, and holds up nobody but those that need it.
    func everywhere<Result: Sendable>(
        _ ask: @escaping @Sendable (SPDKTarget) async throws -> Result
    ) async -> [(node: StorageNodeConfiguration, answer: Swift.Result<Result, any Error>)] {
        let nodes = nodes
        return await withTaskGroup(of: (Int, Swift.Result<Result, any Error>).self) { group in
            for (index, node) in nodes.enumerated() {
                group.addTask { (index, await self.answer(of: node, ask)) }
            }
            var answers: [Int: Swift.Result<Result, any Error>] = [:]
            for await (index, answer) in group { answers[index] = answer }
            var found: [(node: StorageNodeConfiguration, answer: Swift.Result<Result, any Error>)] = []
            for (index, node) in nodes.enumerated() {
                if let answer = answers[index] { found.append((node: node, answer: answer)) }
            }
            return found
        }
    }

    private func answer<Result: Sendable>(
        of node: StorageNodeConfiguration, _ ask: @Sendable (SPDKTarget) async throws -> Result
    ) async -> Swift.Result<Result, any Error> {
        do {
            if let failure = state(node).recentFailure { return .failure(failure) }
            let target = try target(node)
            let begin = ContinuousClock.now
            do {
                let result = try await ask(target)
                state(node).note(nil, since: begin)
                return .success(result)
            } catch let error as SPDKError {
                state(node).note(error, since: begin)
                return .failure(error)
            }
        } catch {
            return .failure(error)
        }
    }
}

extension RPCAddress {
    /// Without a proxy there is nobody who would ask for a password.
    var isLocal: Bool {
        if case .unix = self { true } else { false }
    }
}

// Ids.
extension SPDKPool {
    /// A volume or snapshot and where it is.
    struct Found: Sendable {
        let target: SPDKTarget
        let volume: LogicalVolume
    }

    static func id(_ node: String, _ uuid: String) -> String { "\(node):\(uuid)" }

    static func uuid(_ id: VolumeID) -> String {
        String(id.rawValue.split(separator: ":").last ?? "").lowercased()
    }

    /// What holds a volume in the gate, however its id is written.
    static func key(_ text: String) -> String { VolumeID(remote: text).map(uuid) ?? text }

    /// The logical volume of an id; nil when there certainly is none.
    func find(_ id: VolumeID) async throws -> Found? {
        let parts = id.rawValue.split(separator: ":")
        guard parts.count == 2, let name = parts.first else { return try await findAnywhere(Self.uuid(id)) }
        guard let node = configuration.current?.node(String(name)) else {
            throw RequestError(
                .unavailable,
                "volume \(id): storage node \(name) is not in \(configuration.path); bring it back to go on")
        }
        let target = try target(node)
        return try await certain(Self.uuid(id), on: target).map { Found(target: target, volume: $0) }
    }

    /// Nil only where there certainly is none.
    func certain(_ uuid: String, on target: SPDKTarget) async throws -> LogicalVolume? {
        let volume = try await state(target.node).note { () throws(SPDKError) in try await target.volume(uuid) }
        if let volume { return volume }
        try await settle(target)
        return try await target.volume(uuid)
    }

    /// What is not there after this is gone. In this order: SPDK shows a store first, and then opens its volumes.
    func settle(_ target: SPDKTarget, timeout: Duration = .seconds(10)) async throws {
        try await checkStores(target, timeout: timeout)
        try await target.waitForExamine(timeout: timeout)
    }

    /// Throws `unavailable` where a store is missing that the configuration names or that was there before, or there is none
    /// at all: SPDK answers while its disks are not there yet, and is certain then that it knows no volume.
    func checkStores(_ target: SPDKTarget, timeout: Duration = .seconds(10)) async throws {
        let node = target.node
        let stores = Set(try await target.stores(timeout: timeout).map(\.name))
        let missing = state(node).missing(stores).filter(node.uses).union(node.stores).subtracting(stores)
        guard stores.isEmpty || !missing.isEmpty else { return }
        let names =
            missing.isEmpty
            ? "its logical volume stores are" : "lvstore \(missing.sorted().joined(separator: ", ")) is"
        throw RequestError(
            .unavailable,
            "storage node \(node.name): \(names) not there, so what it has is not known; attach its disk, or if it was "
                + "removed for good, take it out of \(configuration.path) and restart the controller")
    }

    /// For volumes that were written by hand, with nothing but the uuid.
    private func findAnywhere(_ uuid: String) async throws -> Found? {
        var failure: (any Error)?
        let answers = await everywhere { target in (target, try await self.certain(uuid, on: target)) }
        for (_, answer) in answers {
            switch answer {
            case .success((let target, let volume?)): return Found(target: target, volume: volume)
            case .success: continue
            case .failure(let error): failure = error
            }
        }
        if let failure { throw failure }
        return nil
    }

    func volume(orThrow id: VolumeID) async throws -> Found {
        guard let found = try await find(id), !found.volume.isSnapshot else {
            throw RequestError(.notFound, "volume \"\(id)\" does not exist")
        }
        return found
    }
}

extension VolumePool {
    /// What the volume or snapshot of an id holds in the gate. One that every node reaches can be called by several ids.
    func key(forID text: String) -> String { reach == .anywhere ? SPDKPool.key(text) : text }
}
