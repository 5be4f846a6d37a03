/// A refusal with SPDK's number and words.
package struct StandInError: Error, Sendable {
    package let code: Int
    package let message: String

    package init(_ code: Int, _ message: String) {
        self.code = code
        self.message = message
    }

    static let noDevice = StandInError(-19, "No such device")
    static let invalid = StandInError(-32602, "Invalid parameters")
    static let decoding = StandInError(-32603, "spdk_json_decode_object failed")
    static let unknownMethod = StandInError(-32601, "Method not found")
}
