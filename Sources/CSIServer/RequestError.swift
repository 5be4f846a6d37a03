/// Why a request is refused before a device manager sees it; thrown by the services and their pools.
///
/// The message names the field or the volume, the cause and what to do, and never holds a secret or a mount flag.
package struct RequestError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable, CaseIterable {
        case invalidArgument
        case notFound
        case alreadyExists
        case resourceExhausted
        case failedPrecondition
        case aborted
        case unimplemented
        case unavailable
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
