import GRPCCore

/// Facts about the gRPC call that the current task serves, bound by `CallLog`; nil outside calls.
package enum CurrentCall {
    /// Short random hex, the same in every line that the log has about the call.
    @TaskLocal package static var requestID: String?
    /// When the caller stops waiting; nil where it set no timeout.
    @TaskLocal package static var deadline: ContinuousClock.Instant?

    static func makeRequestID() -> String {
        let text = String(UInt32.random(in: 0...UInt32.max), radix: 16)
        return String(repeating: "0", count: 8 - text.count) + text
    }

    static func deadline(of metadata: Metadata, from start: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        guard let text = metadata[stringValues: "grpc-timeout"].first(where: { _ in true }),
            let timeout = timeout(text)
        else { return nil }
        return start + timeout
    }

    /// A `grpc-timeout` header: at most eight digits and a unit.
    static func timeout(_ text: String) -> Duration? {
        guard let unit = text.last, text.utf8.count <= 9, let value = UInt32(text.dropLast()) else { return nil }
        switch unit {
        case "H": return .seconds(Int64(value) * 3600)
        case "M": return .seconds(Int64(value) * 60)
        case "S": return .seconds(Int64(value))
        case "m": return .milliseconds(Int64(value))
        case "u": return .microseconds(Int64(value))
        case "n": return .nanoseconds(Int64(value))
        default: return nil
        }
    }
}
