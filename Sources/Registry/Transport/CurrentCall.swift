/// Facts about the gRPC call that the current task serves, bound by `CallLog`; nil outside calls.
package enum CurrentCall {
    /// Short random hex, the same in every line that the log has about the call, on all machines that it passes.
    @TaskLocal package static var requestID: String?

    /// Under which a controller passes the id on to a node.
    package static let metadataKey = "pmem-csi-request-id"

    static func makeRequestID() -> String {
        let text = String(UInt32.random(in: 0...UInt32.max), radix: 16)
        return String(repeating: "0", count: 8 - text.count) + text
    }

    /// Whether a text from outside has the form of our ids, so that it may stand in the log.
    static func isRequestID(_ text: String) -> Bool {
        text.utf8.count == 8 && text.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    }
}
