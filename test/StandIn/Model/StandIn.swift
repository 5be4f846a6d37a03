import FoundationEssentials
import SPDK
import Synchronization

/// Stands for an SPDK target and its proxy: the calls that a driver makes, with SPDK's numbers and words. Volumes outlast
/// a restart, exports do not.
///
/// It knows of no blocks; where an `Exporter` is given, that shows files through the kernel's targets.
package final class StandIn: Sendable {
    /// What goes wrong, once for each entry.
    package enum Fault: Sendable, Hashable {
        /// The connection ends before the call is done.
        case lostRequest
        /// It is done, and the connection ends before the answer.
        case lostReply
        /// Nothing comes, and nothing is done.
        case silence
        /// The answer ends in the middle.
        case truncated
        /// SPDK says that something went wrong, and nothing is done.
        case refusal
        /// This time it goes well.
        case success
    }

    /// By the versions of SPDK.
    package enum SizeKey: Sendable {
        case bytes, both, mebibytes
    }

    struct State {
        var stores: [Store]
        var lvols: [Lvol] = []
        var exports = Exports()
        var faults: [String: [Fault]] = [:]
        var calls: [String: Int] = [:]
        /// Of disks that are not attached.
        var detached: (stores: [Store], lvols: [Lvol]) = ([], [])
        /// Those that SPDK has not come to yet.
        var unopened: [Lvol] = []
    }

    package let user: String
    package let password: String
    let sizeKey: SizeKey
    let exporter: (any Exporter)?
    let state: Mutex<State>

    package init(
        stores: [Store], user: String = "spdkcsiuser", password: String = "spdkcsipass",
        sizeKey: SizeKey = .both, exporter: (any Exporter)? = nil, lvols: [Lvol] = []
    ) {
        self.user = user
        self.password = password
        self.sizeKey = sizeKey
        self.exporter = exporter
        state = Mutex(State(stores: stores, lvols: lvols))
    }

    package func fail(_ method: String, _ faults: Fault...) {
        state.withLock { $0.faults[method, default: []] += faults }
    }

    /// How often a method was called.
    package func calls(_ method: String) -> Int { state.withLock { $0.calls[method] ?? 0 } }

    package var lvols: [Lvol] { state.withLock(\.lvols) }

    package func hosts(of uuid: String) -> [String]? {
        state.withLock { $0.exports.subsystems[Subsystem.nqn(uuid)]?.hosts }
    }

    /// As after kill -9 and a new start.
    package func restart() throws {
        try exporter?.removeAll()
        state.withLock { state in
            state.exports = Exports()
            for index in state.lvols.indices { state.lvols[index].limits = [:] }
        }
    }

    /// A moment after a new start: the stores are there, and their volumes are only when somebody has waited for them.
    package func restartWithoutVolumes() throws {
        try restart()
        state.withLock { state in (state.unopened, state.lvols) = (state.lvols, []) }
    }

    /// The disks are not there yet, or not any more; SPDK knows nothing of what is on them.
    package func detachStores() {
        state.withLock { state in
            state.detached = (state.stores, state.lvols)
            (state.stores, state.lvols, state.exports) = ([], [], Exports())
        }
    }

    package func attachStores() {
        state.withLock { state in
            (state.stores, state.lvols) = state.detached
            state.detached = ([], [])
        }
    }

    /// For `RawServer`.
    package func handle(_ request: RawRequest) async -> RawReply {
        if !request.head.isEmpty {
            let pair = Data("\(user):\(password)".utf8).base64EncodedString()
            guard
                request.head.contains("Authorization: Basic \(pair)")
                    || request.head.contains("authorization: Basic \(pair)")
            else { return .http([], status: "401 Unauthorized") }
        }
        guard let call = try? JSONDecoder().decode(Call.self, from: Data(request.body)),
            request.body.allSatisfy({ $0 < 0x80 })
        else { return .http([], status: "500 Internal Server Error") }
        let fault = state.withLock { state -> Fault? in
            state.calls[call.method, default: 0] += 1
            guard state.faults[call.method]?.isEmpty == false else { return nil }
            return state.faults[call.method]?.removeFirst()
        }
        switch fault {
        case .lostRequest: return .close
        case .silence: return .silence
        case .lostReply:
            _ = answer(call)
            return .close
        case .truncated: return reply(Array(answer(call).dropLast(7)), request)
        case .refusal:
            let error: JSONNode = ["code": -32603, "message": "Internal error"]
            let refusal = JSONNode.object(["jsonrpc": "2.0", "id": call.id, "error": error])
            return reply((try? refusal.ascii()) ?? [], request)
        case .success, nil: return reply(answer(call), request)
        }
    }

    private func reply(_ bytes: [UInt8], _ request: RawRequest) -> RawReply {
        request.head.isEmpty ? .bytes(bytes) : .http(bytes)
    }

    private struct Call: Decodable {
        let id: JSONNode
        let method: String
        let params: JSONNode?
    }

    private func answer(_ call: Call) -> [UInt8] {
        var reply: [String: JSONNode] = ["jsonrpc": "2.0", "id": call.id]
        do {
            reply["result"] = try state.withLock { state in
                try self.call(call.method, Parameters(call.params), &state)
            }
        } catch let error as StandInError {
            reply["error"] = ["code": .integer(error.code), "message": .string(error.message)]
        } catch {
            reply["error"] = ["code": -32603, "message": .string("\(error)")]
        }
        return (try? JSONNode.object(reply).ascii()) ?? []
    }
}

/// A call's parameters.
struct Parameters {
    let values: [String: JSONNode]?

    init(_ node: JSONNode?) throws {
        switch node {
        case .object(let values): self.values = values
        case nil, .null: values = nil
        default: throw StandInError(-32600, "Invalid request")
        }
    }

    func text(_ key: String) throws -> String {
        guard case .string(let text) = values?[key] else { throw StandInError.decoding }
        return text
    }

    func optionalText(_ key: String) -> String? {
        if case .string(let text) = values?[key] { text } else { nil }
    }

    func number(_ key: String) -> Int? {
        if case .integer(let number) = values?[key] { number } else { nil }
    }

    func bool(_ key: String) -> Bool? {
        if case .bool(let bool) = values?[key] { bool } else { nil }
    }

    func object(_ key: String) throws -> Parameters {
        guard let node = values?[key] else { throw StandInError.decoding }
        return try Parameters(node)
    }

    /// Some lists refuse even an empty object.
    func expectNone() throws {
        guard values == nil else { throw StandInError.invalid }
    }
}
