package import GRPCCore
package import Logging
package import SwiftProtobuf
import Synchronization

/// Interceptor that logs every call and gives every error a code and a text; the assembly puts it first in the list.
/// Contents are logged only at debug (at trace for calls that are made all the time), and only through the redactor.
package struct CallLog: ServerInterceptor {
    /// Sidecars, liveness probes and nodes make these all the time, csictl one of them beside every call.
    private static let quiet: Set<String> = [
        "Probe", "GetPluginInfo", "GetPluginCapabilities", "ControllerGetCapabilities", "NodeGetCapabilities",
        "GroupControllerGetCapabilities", "Watch", "RegisterController",
    ]

    private let logger: Logger
    private let redact: @Sendable (any Message) -> String
    private let subject: @Sendable (any Message) -> String?
    private let acceptsRequestIDs: Bool

    /// The redactor's text goes to the log as it is: it must leave out secrets and mount flags.
    /// `subject` finds the volume that a message is about. Ids that callers give their requests are used only if
    /// `acceptsRequestIDs`, as between our own machines.
    package init(
        logger: Logger, acceptsRequestIDs: Bool = false,
        subject: @escaping @Sendable (any Message) -> String? = { _ in nil },
        redact: @escaping @Sendable (any Message) -> String
    ) {
        self.logger = logger
        self.redact = redact
        self.subject = subject
        self.acceptsRequestIDs = acceptsRequestIDs
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
        let id = requestID(request.metadata)
        let entry = entry(id: id, context: context)
        let logged = StreamingServerRequest(
            metadata: request.metadata, messages: RPCAsyncSequence(wrapping: request.messages.map(entry.received)))
        let end = CallEnd(report: entry.ended)
        return await end.watching {
            var response = try await CurrentCall.$requestID.withValue(id) { try await next(logged, context) }
            if case .success(let contents) = response.accepted {
                response = StreamingServerResponse(metadata: contents.metadata) { writer in
                    // A streaming method does its work here, not in `next`.
                    try await CurrentCall.$requestID.withValue(id) {
                        try await contents.producer(RPCWriter(wrapping: LoggingWriter(base: writer, log: entry.sent)))
                    }
                }
            }
            return response
        }
    }

    private func requestID(_ metadata: Metadata) -> String {
        let given = metadata[stringValues: CurrentCall.metadataKey].first { CurrentCall.isRequestID($0) }
        return (acceptsRequestIDs ? given : nil) ?? CurrentCall.makeRequestID()
    }

    private func entry(id: String, context: ServerContext) -> LogEntry {
        var logger = logger
        logger[metadataKey: "method"] = "\(context.descriptor.fullyQualifiedMethod)"
        logger[metadataKey: "request"] = "\(id)"
        return LogEntry(
            logger: logger, redact: redact, subject: subject, peer: context.remotePeer,
            isQuiet: Self.quiet.contains(context.descriptor.method))
    }
}

/// What the log says about one call.
private final class LogEntry: Sendable {
    let logger: Logger
    let redact: @Sendable (any Message) -> String
    /// Finds the volume, which the request or the response names.
    let subject: @Sendable (any Message) -> String?
    private let volume = Mutex<String?>(nil)
    let peer: String
    let isQuiet: Bool
    let start = ContinuousClock.now

    init(
        logger: Logger, redact: @escaping @Sendable (any Message) -> String,
        subject: @escaping @Sendable (any Message) -> String?, peer: String, isQuiet: Bool
    ) {
        self.logger = logger
        self.redact = redact
        self.subject = subject
        self.peer = peer
        self.isQuiet = isQuiet
    }

    private var contentsLevel: Logger.Level { isQuiet ? .trace : .debug }

    func received<M>(_ message: M) -> M {
        contents("received", message)
        return message
    }

    func sent<M>(_ message: M) {
        contents("sent", message)
    }

    func ended(_ error: RPCError?) {
        let milliseconds = (ContinuousClock.now - start) / .milliseconds(1)
        var metadata: Logger.Metadata = [
            "peer": "\(peer)",
            "ms": "\(Double(Int64(milliseconds * 1000)) / 1000)",
            "code": "\(error?.code.specificationName ?? "OK")",
        ]
        if let volume = volume.withLock({ $0 }) { metadata["volume"] = "\(volume)" }
        if let error { metadata["error"] = "\(error.message)" }
        logger.log(level: level(error), error == nil ? "call done" : "call failed", metadata: metadata)
    }

    private func contents(_ what: Logger.Message, _ message: Any) {
        if let message = message as? any Message, let volume = subject(message) { self.volume.withLock { $0 = volume } }
        guard logger.logLevel <= contentsLevel, let message = message as? any Message else { return }
        logger.log(level: contentsLevel, what, metadata: ["contents": "\(redact(message))"])
    }

    private func level(_ error: RPCError?) -> Logger.Level {
        switch error?.code {
        case .none: isQuiet ? .debug : .info
        case .internalError, .unknown, .dataLoss: .error
        default: .notice
        }
    }
}

/// Passes messages on and shows them to the log.
private struct LoggingWriter<Element: Sendable>: RPCWriterProtocol {
    let base: RPCWriter<Element>
    let log: @Sendable (Element) -> Void

    func write(_ element: Element) async throws {
        log(element)
        try await base.write(element)
    }

    func write(contentsOf elements: some Sequence<Element>) async throws {
        for element in elements { try await write(element) }
    }
}
