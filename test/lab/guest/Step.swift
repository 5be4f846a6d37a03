import GRPCCore

/// One row of the table: something that must hold, tried on the real parts.
///
/// The body makes what it needs, removes it again, and returns what it observed; throwing is failing.
struct Step: Sendable {
    let name: String
    /// Part of the short run.
    var quick = true
    /// Nothing after it makes sense when it fails.
    var essential = false
    let body: @Sendable (Lab) async throws -> String

    init(
        _ name: String, quick: Bool = true, essential: Bool = false,
        body: @escaping @Sendable (Lab) async throws -> String
    ) {
        self.name = name
        self.quick = quick
        self.essential = essential
        self.body = body
    }
}

extension Step {
    /// The same, left out of the short run.
    var inFullRunOnly: Step {
        var step = self
        step.quick = false
        return step
    }
}

/// Steps about one thing, in the order in which they run.
struct Topic: Sendable {
    let title: String
    let steps: [Step]
}

/// Why a step failed: what was seen, and what was expected.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

func check(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    guard condition else { throw Failure(message()) }
}

func checkEqual<T: Equatable>(_ seen: T, _ expected: T, _ what: @autoclosure () -> String) throws {
    guard seen == expected else { throw Failure("\(what()): \(seen), expected \(expected)") }
}

/// The call must be refused with this code; returns the message it was refused with.
@discardableResult
func refused<T>(_ code: RPCError.Code, _ what: String, _ call: () async throws -> T) async throws -> String {
    do {
        _ = try await call()
    } catch let error as RPCError {
        guard error.code == code else { throw Failure("\(what): \(error.code) \"\(error.message)\", expected \(code)") }
        try check(!error.message.isEmpty, "\(what): \(code) without a message")
        return error.message
    }
    throw Failure("\(what): OK, expected \(code)")
}

/// Calls again while another call on the volume is under way, ever more rarely, as the sidecars do.
func patiently<R>(_ call: () async throws -> R) async throws -> R {
    var pause = Duration.seconds(1)
    while true {
        do {
            return try await call()
        } catch let error as RPCError where error.code == .aborted && pause < .seconds(64) {
            try await Task.sleep(for: pause)
            pause *= 2
        }
    }
}

/// Asks again and again until it holds.
func eventually(_ what: String, within limit: Duration, _ holds: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !holds() {
        guard ContinuousClock.now < end else { throw Failure("\(what): not within \(limit)") }
        try await Task.sleep(for: .milliseconds(50))
    }
}

/// Short texts for people.
func text(of error: any Error) -> String {
    guard let error = error as? RPCError else { return "\(error)" }
    return "\(error.code) \"\(error.message)\""
}

func mebibytes(_ bytes: UInt64) -> String {
    bytes.isMultiple(of: 1 << 20) ? "\(bytes >> 20) MiB" : "\(bytes) B"
}

let MiB: UInt64 = 1 << 20
