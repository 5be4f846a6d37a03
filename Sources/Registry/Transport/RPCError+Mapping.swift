package import GRPCCore

extension RPCError {
    /// Any error as what a client may see. grpc-swift would send unknown ones as UNKNOWN without a text; here they
    /// are INTERNAL with their description.
    package init(anyError error: any Error) {
        switch error {
        case let error as RPCError:
            // What grpc-swift makes of a foreign error before an outer interceptor sees it.
            if error.code == .unknown, error.message.isEmpty, let cause = error.cause {
                self.init(anyError: cause)
            } else {
                self = error
            }
        case let error as any RPCErrorConvertible:
            self.init(
                code: error.rpcErrorCode, message: error.rpcErrorMessage, metadata: error.rpcErrorMetadata,
                cause: error.rpcErrorCause)
        case is CancellationError:
            self.init(code: .cancelled, message: "the call was cancelled", cause: error)
        default:
            self.init(code: .internalError, message: "\(error)", cause: error)
        }
    }
}

extension RPCError.Code {
    /// The names of the gRPC specification: `NOT_FOUND`.
    package var specificationName: String {
        if self == .internalError { return "INTERNAL" }
        return description.reduce(into: "") { name, character in
            if character.isUppercase { name.append("_") }
            name += character.uppercased()
        }
    }

    /// The names that Go programs use as a metric's label: `NotFound`.
    package var labelName: String {
        switch self {
        case .internalError: "Internal"
        case .cancelled: "Canceled"
        default: description.prefix(1).uppercased() + description.dropFirst()
        }
    }
}
