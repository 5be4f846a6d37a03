import GRPCCore
import Synchronization

/// Tells once how a call ended; shared by the interceptors' response closures. When the caller is gone before the
/// response starts, nobody runs those closures: then the last reference to this object reports it.
final class CallEnd: Sendable {
    private let ended = Mutex(false)
    private let report: @Sendable (RPCError?) -> Void

    init(report: @escaping @Sendable (RPCError?) -> Void) {
        self.report = report
    }

    deinit {
        tell(RPCError(code: .cancelled, message: "the caller went away before it could be answered"))
    }

    func tell(_ error: RPCError?) {
        let first = ended.withLock { ended in
            defer { ended = true }
            return !ended
        }
        if first { report(error) }
    }

    /// Runs the rest of the call and watches all three places where it can end: `next` throws, the response is a
    /// failure, or the response's producer returns or throws. Errors come out mapped.
    func watching<Output: Sendable>(
        _ next: () async throws -> StreamingServerResponse<Output>
    ) async -> StreamingServerResponse<Output> {
        let response: StreamingServerResponse<Output>
        do {
            response = try await next()
        } catch {
            return fail(error)
        }
        switch response.accepted {
        case .failure(let error):
            return fail(error)
        case .success(let contents):
            return StreamingServerResponse(metadata: contents.metadata) { writer in
                do {
                    let trailing = try await contents.producer(writer)
                    self.tell(nil)
                    return trailing
                } catch {
                    let mapped = RPCError(anyError: error)
                    self.tell(mapped)
                    throw mapped
                }
            }
        }
    }

    private func fail<Output: Sendable>(_ error: any Error) -> StreamingServerResponse<Output> {
        let mapped = RPCError(anyError: error)
        tell(mapped)
        return StreamingServerResponse(error: mapped)
    }
}
