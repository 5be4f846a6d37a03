import Glibc

/// Why libndctl could not do something: what kind of failure, a text that names the device and the remedy, and the
/// code that the C library returned. The library's own codes stay inside this target otherwise.
package struct NdctlError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        case notFound, busy, noSpace, invalidArgument, unsupported, permissionDenied, failed
    }

    package let code: Code
    package let message: String
    /// An errno, above 0; 0 where libndctl said nothing.
    package let errno: Int32
    /// The failure that an attempt to undo met in addition.
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, errno: Int32 = 0, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.errno = errno
        self.cause = cause
    }

    /// For a negative return code of a call that did `action`, as in "enable namespace0.0".
    init(returned code: Int32, _ action: String) {
        let number = code == .min ? EIO : abs(code)
        // A container's own /sys, of a privileged one as well.
        let remedy = number == EROFS ? "; give the container the host's /sys, as a hostPath volume" : ""
        let reason = String(cString: strerror(number))
        self.init(Self.kind(of: number), "cannot \(action): \(reason)\(remedy)", errno: number)
    }

    package var description: String {
        cause.map { "\(message) (\($0))" } ?? message
    }

    private static func kind(of number: Int32) -> Code {
        switch number {
        case ENODEV, ENOENT: .notFound
        case EBUSY: .busy
        case ENOSPC: .noSpace
        case EINVAL: .invalidArgument
        case EOPNOTSUPP, ENOTTY: .unsupported
        case EACCES, EPERM, EROFS: .permissionDenied
        default: .failed
        }
    }
}

/// Throws for a negative return code; libndctl uses positive ones for success with a remark.
@discardableResult
func check(_ returned: Int32, _ action: @autoclosure () -> String) throws(NdctlError) -> Int32 {
    guard returned < 0 else { return returned }
    throw NdctlError(returned: returned, action())
}
