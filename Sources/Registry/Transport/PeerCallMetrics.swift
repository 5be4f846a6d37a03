package import CoreMetrics
package import GRPCCore

/// Client interceptor that counts and times what this process asks of the other side of the cluster: the controller of a
/// node, or a node of the controller. The assembly gives it to whoever calls, under pmem-csi's names of the metrics.
/// A call for which there is no connection never comes by here; the log has it.
package struct PeerCallMetrics: ClientInterceptor {
    private let label: String
    private let dimensions: [(String, String)]
    private let factory: any MetricsFactory

    package init(
        _ label: String, dimensions: [(String, String)], factory: any MetricsFactory = MetricsSystem.factory
    ) {
        self.label = label
        self.dimensions = dimensions
        self.factory = factory
    }

    package func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingClientRequest<Input>,
        context: ClientContext,
        next: (
            _ request: StreamingClientRequest<Input>,
            _ context: ClientContext
        ) async throws -> StreamingClientResponse<Output>
    ) async throws -> StreamingClientResponse<Output> {
        let method = "/\(context.descriptor.fullyQualifiedMethod)"
        let start = ContinuousClock.now
        do {
            let response = try await next(request, context)
            // Of calls with one answer, which all of these are, the answer comes with its beginning.
            var code = "OK"
            if case .failure(let error) = response.accepted { code = error.code.labelName }
            record(method, code, since: start)
            return response
        } catch {
            record(method, RPCError(anyError: error).code.labelName, since: start)
            throw error
        }
    }

    private func record(_ method: String, _ code: String, since start: ContinuousClock.Instant) {
        Timer(
            label: label, dimensions: [("method_name", method), ("grpc_status_code", code)] + dimensions,
            factory: factory
        ).recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1)))
    }
}
