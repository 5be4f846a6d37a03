/// Facts about the gRPC call that the current task serves, bound by `CallLog`; nil outside calls.
package enum CurrentCall {
    /// Short random hex, the same in every line that the log has about the call.
    @TaskLocal package static var requestID: String?

    static func makeRequestID() -> String {
        let text = String(UInt32.random(in: 0...UInt32.max), radix: 16)
        return String(repeating: "0", count: 8 - text.count) + text
    }
}
