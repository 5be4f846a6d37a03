package import CoreMetrics
package import GRPCCore

/// Interceptor that counts and times every call by method and code, with the names and labels of the sidecars;
/// the assembly puts it behind `CallLog`. Methods in flight are a gauge.
package struct CallMetrics: ServerInterceptor {
    private let driverName: String
    private let factory: any MetricsFactory

    package init(driverName: String, factory: any MetricsFactory = MetricsSystem.factory) {
        self.driverName = driverName
        self.factory = factory
    }

    package func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>,
        context: ServerContext,
        next:
            @Sendable (
                _ request: StreamingServerRequest<Input>,
                _ context: ServerContext
            ) async throws -> StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let method = "/\(context.descriptor.fullyQualifiedMethod)"
        let inFlight = Meter(
            label: "pmem_csi_operations_in_flight", dimensions: [("method_name", method)], factory: factory)
        let start = ContinuousClock.now
        inFlight.increment()
        let end = CallEnd { error in
            inFlight.decrement()
            record(method: method, code: error?.code.labelName ?? "OK", since: start)
        }
        return await end.watching { try await next(request, context) }
    }

    private func record(method: String, code: String, since start: ContinuousClock.Instant) {
        let dimensions = [("method_name", method), ("grpc_status_code", code), ("driver_name", driverName)]
        Timer(label: "csi_plugin_operations_seconds", dimensions: dimensions, factory: factory)
            .recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1)))
    }
}
