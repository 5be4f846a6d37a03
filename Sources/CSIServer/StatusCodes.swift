package import DeviceManager
package import GRPCCore
package import Host
package import Registry
package import SPDK

// The one table from our errors to gRPC codes (CSI section "Error Scheme" and the tables of each call).

extension RequestError: RPCErrorConvertible {
    package var rpcErrorCode: RPCError.Code {
        switch code {
        case .invalidArgument: .invalidArgument
        case .notFound: .notFound
        case .alreadyExists: .alreadyExists
        case .resourceExhausted: .resourceExhausted
        case .failedPrecondition: .failedPrecondition
        case .aborted: .aborted
        case .unimplemented: .unimplemented
        case .unavailable: .unavailable
        }
    }

    package var rpcErrorMessage: String { message }
}

extension RequestError {
    /// For a call that is not advertised.
    init(unimplemented context: ServerContext) {
        self.init(.unimplemented, "\(context.descriptor.method) is not supported by this driver's device manager")
    }
}

extension DeviceError: RPCErrorConvertible {
    package var rpcErrorCode: RPCError.Code {
        switch code {
        case .invalidArgument: .invalidArgument
        case .notFound: .notFound
        case .alreadyExists: .alreadyExists
        case .notEnoughSpace: .resourceExhausted
        case .outOfRange: .outOfRange
        case .inUse, .failedPrecondition: .failedPrecondition
        case .unavailable: .unavailable
        case .aborted: .aborted
        case .failed: .internalError
        }
    }

    package var rpcErrorMessage: String { description }
}

extension HostError: RPCErrorConvertible {
    package var rpcErrorCode: RPCError.Code { DeviceError(self).rpcErrorCode }
    package var rpcErrorMessage: String { description }
}

/// An end that leaves open what became of a call must not look like a refusal to a provisioner.
extension SPDKError: RPCErrorConvertible {
    package var rpcErrorCode: RPCError.Code {
        switch (code, refusal) {
        case (.notSent, _), (.lost, _), (.malformed, _): .unavailable
        case (.late, _): .deadlineExceeded
        case (.unauthorized, _): .unauthenticated
        case (_, .notFound?): .notFound
        case (_, .exists?): .alreadyExists
        case (_, .noSpace?): .resourceExhausted
        case (_, .busy?): .aborted
        case (_, .notPermitted?), (_, .unknownMethod?): .failedPrecondition
        case (_, .parameters?), (_, .other?), (_, nil): .internalError
        }
    }

    package var rpcErrorMessage: String { message }
}

extension RegistryError: RPCErrorConvertible {
    package var rpcErrorCode: RPCError.Code {
        switch code {
        case .invalidArgument: .invalidArgument
        case .unavailable: .unavailable
        case .unauthenticated: .unauthenticated
        case .permissionDenied: .permissionDenied
        }
    }

    package var rpcErrorMessage: String { message }
}

/// A node's own answer passes unchanged. Without one, a provisioner must take the call as still open, whatever became of
/// it: every other code would say that nothing came of it.
extension NodeError: RPCErrorConvertible {
    package var rpcErrorCode: RPCError.Code {
        switch outcome {
        case .answered(let code): code
        case .notSent: .unavailable
        case .open(isLate: true): .deadlineExceeded
        case .open(isLate: false): .unavailable
        }
    }

    package var rpcErrorMessage: String { message }
}
