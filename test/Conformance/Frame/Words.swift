import GRPCCore
import Glibc
import Registry

// Short texts for people.

/// A line at once: whoever watches a file or a pipe sees how far it is.
func say(_ line: String) {
    print(line)
    fflush(nil)
}

/// The specification's name of a code: `NOT_FOUND`.
func name(_ outcome: Outcome) -> String {
    RPCError.Code(outcome)?.specificationName ?? "OK"
}

func names(_ outcomes: Set<Outcome>) -> String {
    outcomes.map(name).sorted().joined(separator: " or ")
}

func describe(_ error: any Error) -> String {
    guard let error = error as? RPCError else { return "\(error)" }
    return "\(error.code.specificationName) \"\(error.message.prefix(300))\""
}

func mebibytes(_ bytes: Int64) -> String {
    bytes % MiB == 0 ? "\(bytes / MiB) MiB" : "\(bytes) bytes"
}

func milliseconds(_ duration: Duration) -> Int64 {
    duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
}

/// Brings a text to a width, for columns.
func column(_ text: String, _ width: Int, right: Bool = false) -> String {
    let blanks = String(repeating: " ", count: max(0, width - text.count))
    return right ? blanks + text : text + blanks
}

let MiB: Int64 = 1 << 20
