import CSIProto
import GRPCCore
import Glibc
import SwiftProtobuf

/// Sends mutated requests and holds each answer against what any request may be answered.
struct Fuzzer {
    let driver: Driver
    let grounds: Grounds
    let process: pid_t?
    var world: World
    var mutator: Mutator
    private(set) var failures: [String] = []
    private var kinds: [String: Int] = [:]
    private(set) var counts: [String: [String: Int]] = [:]
    private(set) var worst: [String: Duration] = [:]
    private(set) var sent = 0
    private let work: [UInt8]
    /// FNV-1a of all requests but for the work directory's name: the same seed must give the same.
    private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325

    init(driver: Driver, seed: UInt64, process: pid_t?) async throws {
        self.driver = driver
        self.process = process
        work = Array(driver.settings.work.utf8)
        grounds = try Grounds(work: driver.settings.work)
        world = try await World(driver: driver)
        mutator = Mutator(seed: seed)
    }

    /// Stops early when the driver is gone or too much is wrong.
    mutating func run(_ count: Int) async {
        for number in 1...max(1, count) {
            do {
                try await one()
                if number % 50 == 0 || number == count { try await lookAround() }
            } catch {
                note("request \(number): \(describe(error))")
            }
            if failures.count >= 100 || !isAlive { return }
        }
    }

    private mutating func one() async throws {
        mutator.values.volumes = world.volumes.map(\.id)
        mutator.values.snapshots = world.snapshot.isEmpty ? [] : [world.snapshot]
        mutator.values.nodes = [driver.facts.node.nodeID, "no-such-node"]
        mutator.values.paths = grounds.paths + world.volumes.flatMap { [$0.staging, $0.target, $0.directory] }
        try await send(try world.request(&mutator.random))
    }

    private mutating func send<Request: Call>(_ valid: Request) async throws {
        var valid = valid
        if var secret = valid as? any Confidential {
            secret.secrets = ["token": Driver.marker]
            valid = secret as? Request ?? valid
        }
        let fields = Schema.requests[Request.title] ?? []
        // Maps have no order of their own, and the seed must decide everything.
        var options = BinaryEncodingOptions()
        options.useDeterministicOrdering = true
        let original: [UInt8] = try valid.serializedBytes(options: options)
        let bytes = mutator.mutate(Wire(parsing: original, as: fields), as: fields)
        for byte in bytes.replacing(work, with: []) { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01b3 }
        sent += 1
        let end = await driver.send(bytes, as: Request.self)
        counts[Request.title, default: [:]][name(end.outcome), default: 0] += 1
        worst[Request.title] = max(worst[Request.title] ?? .zero, end.duration)
        judge(end, bytes, Request.self)
        guard end.outcome == .ok else { return }
        let request = try? Request(serializedBytes: bytes)
        let grown = (request as? Csi_V1_ControllerExpandVolumeRequest)?.volumeID
        do {
            try await world.settle(spoiled: isSpoiled(grown, end.size) ? grown : nil)
        } catch {
            throw Failure("after \(Request.title) \(show(bytes, Request.self)): \(describe(error))")
        }
    }

    /// Growing is not taken back: a volume that grew is made anew, or the space would be gone.
    private func isSpoiled(_ id: String?, _ size: Int64) -> Bool {
        world.volumes.contains { $0.id == id && size > $0.size }
    }

    private mutating func judge<Request: Call>(_ end: Driver.RawEnd, _ bytes: [UInt8], _ type: Request.Type) {
        var problem: String?
        let isMessage = (try? Request(serializedBytes: bytes)) != nil
        if let code = RPCError.Code(end.outcome) {
            if end.message.isEmpty { problem = "no message" }
            // What a client says of an answer that it could not take, such as one with headers that are too long.
            if code == .unavailable, end.message.hasPrefix("Stream unexpectedly closed") { problem = "no answer" }
            if end.message.contains(Driver.marker) { problem = "a secret in the message" }
            // Allowed, but a driver that is ready has little reason to say so.
            if code == .unavailable { say("unavailable: \"\(end.message.prefix(300))\" to \(show(bytes, type))") }
            // A server may answer INTERNAL to bytes that are no message at all.
            if !Rules.codes.contains(code), isMessage || code != .internalError { problem = "a code nobody expects" }
        }
        if end.duration >= Clients.patience { problem = "no answer within \(Clients.patience)" }
        guard let problem else { return }
        note("\(problem): \(name(end.outcome)) \"\(end.message.prefix(300))\" to \(show(bytes, type))")
    }

    private func show<Request: Call>(_ bytes: [UInt8], _ type: Request.Type) -> String {
        let text = (try? Request(serializedBytes: bytes)).flatMap { try? $0.jsonString() }
        return "request \(sent), \(Request.title) \((text ?? "\(bytes.prefix(60))").prefix(600))"
    }

    private mutating func note(_ failure: String) {
        failures.append(failure)
        // Up to the numbers the same thing again: a few examples are enough.
        let kind = String(failure.filter { !$0.isNumber }.prefix(70))
        kinds[kind, default: 0] += 1
        if kinds[kind, default: 0] <= 3 { say("FAILED: \(failure)") }
    }

    private var isAlive: Bool { process.map { kill($0, 0) == 0 } ?? true }

    /// That nothing but the volumes themselves has felt it.
    private mutating func lookAround() async throws {
        guard isAlive else { throw Failure("process \(process ?? 0) is gone") }
        try await driver.send(Csi_V1_ProbeRequest())
        try grounds.check()
        try world.check()
    }
}
