import GRPCCore

/// One thing that must hold at the endpoint, as a row of the table.
///
/// The body makes volumes and leaves them: the ledger takes back whatever is there when it ends. It returns a note for
/// the table; throwing is failing.
struct Check: Sendable {
    let title: String
    let needs: [Feature]
    /// Part of the short run.
    let isCore: Bool
    let body: @Sendable (Driver) async throws -> String

    init(
        _ title: String, needs: [Feature] = [], core: Bool = true,
        body: @escaping @Sendable (Driver) async throws -> String
    ) {
        self.title = title
        self.needs = needs
        isCore = core
        self.body = body
    }
}

/// Checks about one thing, in the order in which they run.
struct Topic: Sendable {
    let title: String
    let checks: [Check]

    init(_ title: String, _ checks: [Check]) {
        self.title = title
        self.checks = checks
    }
}

/// What was seen instead of what must hold.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// gRPC's codes with OK among them: the one thing that every call ends with.
typealias Outcome = Status.Code

func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    guard condition else { throw Failure(message()) }
}

func requireEqual<Value: Equatable>(_ seen: Value, _ wanted: Value, _ what: @autoclosure () -> String) throws {
    guard seen == wanted else { throw Failure("\(what()): \(seen) instead of \(wanted)") }
}

/// Goes through a whole table and reports all that is wrong in it together.
func forEach<Value>(_ table: [(String, Value)], _ body: (Value) async throws -> Void) async throws {
    var problems: [String] = []
    for (title, value) in table {
        do { try await body(value) } catch { problems.append("\(title): \(describe(error))") }
    }
    try require(problems.isEmpty, problems.joined(separator: "; "))
}
