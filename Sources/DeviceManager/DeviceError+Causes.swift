package import Host
package import LVM
package import Ndctl

// Where errors of the layers below become ours; their own code and text survive as the cause.
extension DeviceError {
    package init(_ error: LVMError) {
        let code: Code =
            switch error.code {
            case .notEnoughSpace: .notEnoughSpace
            case .alreadyExists: .alreadyExists
            case .notFound: .notFound
            case .inUse: .inUse
            case .invalidArgument: .invalidArgument
            case .timedOut, .unavailable: .unavailable
            default: .failed
            }
        self.init(code, error.message, cause: error)
    }

    package init(_ error: HostError) {
        let code: Code =
            switch error.code {
            // A path or node that is missing; NOT_FOUND would say that the volume is.
            case .notFound: .failedPrecondition
            case .busy: .inUse
            case .invalidArgument: .invalidArgument
            case .noSpace: .notEnoughSpace
            case .unsupported, .occupied: .failedPrecondition
            case .permissionDenied, .failed: .failed
            }
        self.init(code, error.message, cause: error)
    }

    package init(_ error: NdctlError) {
        let code: Code =
            switch error.code {
            // A region or namespace that was there a moment ago.
            case .notFound: .unavailable
            case .busy: .inUse
            case .noSpace: .notEnoughSpace
            case .unsupported, .permissionDenied: .failedPrecondition
            // What was asked for is ours, not the caller's.
            case .invalidArgument, .failed: .failed
            }
        self.init(code, error.message, cause: error)
    }

    package init(_ error: DeviceMapperError, volume: String) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .unavailable: .unavailable
            default: .failed
            }
        self.init(code, "volume \(volume): \(error.message)", cause: error)
    }
}

/// Runs what throws `LVMError` where `DeviceError` is promised.
func translating<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws(LVMError) -> sending Result
) async throws(DeviceError) -> sending Result {
    do {
        return try await body()
    } catch {
        throw DeviceError(error)
    }
}

/// Runs what blocks off the cooperative pool, where `DeviceError` is promised.
package func blockingDevice<Result: Sendable>(
    on lane: BlockingLane = .short, _ body: @escaping @Sendable () throws -> Result
) async throws(DeviceError) -> Result {
    do {
        return try await blocking(on: lane, body)
    } catch let error as HostError {
        throw DeviceError(error)
    } catch let error as DeviceError {
        throw error
    } catch {
        throw DeviceError(.failed, "interrupted", cause: error)
    }
}

/// Waits, even when the caller is cancelled: a loop that polls the kernel must not turn into one that spins.
func pause(_ duration: Duration) async {
    await Task { try? await Task.sleep(for: duration) }.value
}
