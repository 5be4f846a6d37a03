import Glibc

/// What goes wrong between an endpoint's text and a socket that listens; thrown by this folder.
/// The message names the endpoint, the cause and the remedy.
package struct TransportError: Error, CustomStringConvertible {
    package enum Code: Sendable {
        case invalidEndpoint
        case inUse
        case notASocket
        case cannotListen
        case cannotResolve
        case invalidCertificate
    }

    package let code: Code
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        guard let cause else { return message }
        return "\(message): \(cause)"
    }
}

/// The C library's text for an errno value.
func errnoText(_ code: CInt = errno) -> String {
    String(cString: strerror(code))
}
