package import GRPCCore

extension RPCError {
    /// Any error as what a client may see. grpc-swift would send unknown ones as UNKNOWN without a text; here they
    /// are INTERNAL with their description.
    package init(anyError error: any Error) {
        self.init(mapping: error)
        message = message.shortened(to: Self.longestMessage)
    }

    /// Bytes. A message that quotes a request may be as long as that; in the response's headers up to three characters
    /// stand for each of its bytes, and a client that gets more than 16 KiB of headers ends the stream without reading them.
    package static let longestMessage = 4096

    private init(mapping error: any Error) {
        switch error {
        case let error as RPCError:
            // What grpc-swift makes of a foreign error before an outer interceptor sees it.
            if error.code == .unknown, error.message.isEmpty, let cause = error.cause {
                self.init(mapping: cause)
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

extension String {
    /// At most so many bytes of UTF-8, with a mark at the end where something was left out.
    fileprivate func shortened(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var kept = "".unicodeScalars
        var bytes = "…".utf8.count
        for scalar in unicodeScalars {
            bytes += UTF8.width(scalar)
            if bytes > limit { break }
            kept.append(scalar)
        }
        return String(kept) + "…"
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
