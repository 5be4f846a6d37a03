import Glibc
import SystemPackage

/// Why an operation on this machine's devices, file systems or mounts failed. The message names the path, the
/// operation, the system's reason and, where it is known, the remedy; it never holds mount options.
package struct HostError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        case notFound, busy, permissionDenied, unsupported, noSpace, invalidArgument, failed
        /// Somebody's files are there, and stay.
        case occupied
    }

    package let code: Code
    package let message: String
    package let errno: Int32?
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, errno: Int32? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.errno = errno
        self.cause = cause
    }

    package var description: String { message }
}

extension HostError {
    /// A failed system call: `operation` completes "cannot …", `remedy` says what to do about this very errno.
    static func system(_ number: Int32, _ operation: String, remedy: String? = nil) -> HostError {
        let reason = "cannot \(operation): \(Errno(rawValue: number).description)"
        return HostError(Code(errno: number), remedy.map { "\(reason); \($0)" } ?? reason, errno: number)
    }
}

extension HostError.Code {
    init(errno: Int32) {
        self =
            switch errno {
            case ENOENT, ENXIO, ENODEV, ENOTDIR: .notFound
            case EBUSY, ETXTBSY: .busy
            case ENOTEMPTY: .occupied
            case EACCES, EPERM, EROFS: .permissionDenied
            case ENOSYS, EOPNOTSUPP, ENOTTY: .unsupported
            case ENOSPC, EDQUOT: .noSpace
            case EINVAL, ENOTBLK, ENAMETOOLONG, ELOOP: .invalidArgument
            default: .failed
            }
    }
}
