import CSIProto
import GRPCCore
import SwiftProtobuf

/// Each call after each other call, held against a small model of one volume's state.
enum PairChecks {
    static let topic = Topic(
        "Each call after each other call",
        Act.allCases.map { first in
            Check("after \(first)", core: false) { driver in try await pairs(after: first, driver) }
        })

    private static func pairs(after first: Act, _ driver: Driver) async throws -> String {
        var problems: [String] = []
        var count = 0
        for second in Act.allCases {
            let volume = try await driver.volume("pair")
            do {
                if try await pair(first, second, volume) { count += 1 }
            } catch {
                problems.append("\(second): \(describe(error))")
            }
            problems += await driver.undo().map { "\(second): \($0)" }
        }
        try require(problems.isEmpty, problems.joined(separator: "; "))
        return "\(count) pairs"
    }

    /// False where the driver does not offer one of the two.
    private static func pair(_ first: Act, _ second: Act, _ volume: Volume) async throws -> Bool {
        try volume.makeDirectories()
        var state = State()
        for act in State.path(to: first) {
            guard let call = act.call(volume), RefusalChecks.isOffered(call, volume.driver) else { continue }
            try await volume.driver.expect([.ok], of: call, "on the way to \(first)")
            state.apply(act)
        }
        for act in [first, second] {
            guard let call = act.call(volume), RefusalChecks.isOffered(call, volume.driver) else { return false }
            let outcome = try await volume.driver.expect(
                state.legal(act, volume.driver), of: call, "in state \(state), \(act == first ? "first" : "second")")
            if outcome == .ok { state.apply(act) }
        }
        try await compare(state, volume)
        return true
    }

    /// The kernel and the lists must say what the model says.
    private static func compare(_ state: State, _ volume: Volume) async throws {
        // What stands at the staging path of a staged volume is the driver's own affair.
        try require(try state.isStaged || Disk.mount(at: volume.staging) == nil, "mounted at the staging path")
        try requireEqual(try Disk.mount(at: volume.target) != nil, state.isPublished, "mounted at the target path")
        guard volume.driver.offers(.list) else { return }
        try requireEqual(try await volume.driver.entry(volume.id) != nil, state.exists, "listed")
    }
}

/// What is true of one volume, as far as the calls about it depend on it.
private struct State: CustomStringConvertible {
    var exists = true
    var isAttached = false
    var isStaged = false
    var isPublished = false
    var hasSnapshot = false
    var isModified = false

    var description: String {
        let parts = [
            exists ? "exists" : "gone", isAttached ? "attached" : "", isStaged ? "staged" : "",
            isPublished ? "published" : "", hasSnapshot ? "snapshot" : "",
        ]
        return parts.filter { !$0.isEmpty }.joined(separator: "+")
    }

    /// What must have been called before a call makes sense.
    static func path(to act: Act) -> [Act] {
        switch act {
        case .stage, .detach: [.attach]
        case .publish, .unstage: [.attach, .stage]
        case .stats, .nodeExpand, .unpublish: [.attach, .stage, .publish]
        case .deleteSnapshot: [.snapshot]
        default: []
        }
    }

    mutating func apply(_ act: Act) {
        switch act {
        case .create: exists = true
        case .attach: isAttached = true
        case .detach: isAttached = false
        case .stage: isStaged = true
        case .unstage: isStaged = false
        case .publish: isPublished = true
        case .unpublish: isPublished = false
        case .snapshot: hasSnapshot = true
        case .deleteSnapshot: hasSnapshot = false
        case .modify: isModified = true
        case .delete: (exists, isAttached) = (false, false)
        default: break
        }
    }

    func legal(_ act: Act, _ driver: Driver) -> Set<Outcome> {
        switch act {
        // The request asks for what ControllerModifyVolume has changed.
        case .create where exists && isModified: return [.ok, .alreadyExists]
        case .create, .list, .capacity, .listSnapshots, .deleteSnapshot: return [.ok]
        case .unpublish: return [.ok]
        // The container orchestrator must unpublish first; both answers are right.
        case .unstage: return isPublished ? [.ok, .failedPrecondition] : [.ok]
        case .detach: return isStaged || isPublished ? [.ok, .failedPrecondition] : [.ok]
        case .delete:
            if isStaged || isPublished { return [.failedPrecondition] }
            return isAttached || hasSnapshot ? [.ok, .failedPrecondition] : [.ok]
        case .snapshot where !exists && hasSnapshot: return [.ok, .notFound]
        case _ where !exists: return [.notFound]
        case .stage where driver.offers(.attach) && !isAttached: return [.ok, .failedPrecondition]
        case .publish where driver.offers(.stage) && !isStaged:
            return isPublished ? [.ok, .failedPrecondition] : [.failedPrecondition]
        case .stats: return isPublished ? [.ok] : [.notFound]
        // The request names the target path; where it is only staged, either answer is right.
        case .nodeExpand:
            if isPublished { return [.ok] }
            return isStaged ? [.ok, .notFound] : [.notFound, .failedPrecondition]
        case .snapshot: return isStaged && !driver.offers(.mountedSnapshot) ? [.failedPrecondition] : [.ok]
        default: return [.ok]
        }
    }
}
