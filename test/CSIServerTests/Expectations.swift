import GRPCCore
import Testing

/// Expects a call to be refused with the code and a message that people can read, naming each of `words`.
func expect(
    _ code: RPCError.Code, _ words: String..., at location: SourceLocation = #_sourceLocation,
    _ call: () async throws -> Void
) async {
    do {
        try await call()
        Issue.record("the call succeeded; expected \(code)", sourceLocation: location)
    } catch let error as RPCError {
        #expect(error.code == code, "\(error.message)", sourceLocation: location)
        #expect(!error.message.isEmpty, sourceLocation: location)
        for word in words { #expect(error.message.contains(word), "\(error.message)", sourceLocation: location) }
    } catch {
        Issue.record(error, sourceLocation: location)
    }
}
