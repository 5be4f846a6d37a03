/// Why a call between nodes and controllers is refused before it does anything; thrown by this room's services and
/// interceptors. The message says what was wrong with the call or its caller.
package struct RegistryError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, CaseIterable {
        case invalidArgument
        /// The caller went away meanwhile.
        case unavailable
        /// No certificate was verified on this connection.
        case unauthenticated
        /// The certificate is somebody else's.
        case permissionDenied
    }

    package let code: Code
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
