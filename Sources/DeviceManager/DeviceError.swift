/// Why a device manager could not do what was asked.
///
/// Owned by the storage seam: every manager throws only this, and CSIServer maps each code to one gRPC code.
/// The message names the volume, the cause and what to do; it never holds a secret.
package struct DeviceError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable, CaseIterable {
        case invalidArgument
        case notFound
        case alreadyExists
        case notEnoughSpace
        case outOfRange
        /// The volume is open, mounted or published.
        case inUse
        case failedPrecondition
        /// What is needed cannot be reached now; the same call may succeed later.
        case unavailable
        /// Stopped half-way on purpose (shutdown); the same call goes on from there.
        case aborted
        case failed
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
        // An error taken over from a layer below has that layer's message already.
        guard let cause, !"\(cause)".contains(message) else { return message }
        return "\(message): \(cause)"
    }
}
