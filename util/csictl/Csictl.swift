import GRPCCore
import Glibc
import Registry

/// The program: one call per run, JSON on standard output, errors on standard error, a status for scripts.
@main
struct Csictl {
    static func main() async {
        exit(await run())
    }

    private static func run() async -> CInt {
        do {
            let options = try Options(
                Array(CommandLine.arguments.dropFirst()),
                environment: getenv("CSI_ENDPOINT").map { ["CSI_ENDPOINT": String(cString: $0)] } ?? [:])
            switch options.command {
            case "help": print(Options.help)
            case "methods": printMethods()
            case "regions": try Regions.run()
            case "status": try await Status(options).run()
            case "adopt": try await Adoption(options.arguments).run()
            default: try await call(options)
            }
            return 0
        } catch let error as UsageError {
            complain("csictl: \(error)\n")
            return 2
        } catch {
            complain(json(of: RPCError(anyError: error)) + "\n")
            return 1
        }
    }

    private static func call(_ options: Options) async throws {
        let endpoint = try options.endpoint
        let request = try Request(options)
        let call = try request.method.prepare(request.json)
        let field = options.field?.split(separator: ".").map(String.init)
        var callOptions = CallOptions.defaults
        callOptions.timeout = options.timeout
        let isTerminal = isatty(STDERR_FILENO) == 1
        let subject = options.progress || isTerminal ? request.subject : nil
        let bar = ProgressBar(isTerminal: isTerminal, write: complain)
        try await withClient(to: endpoint) { [callOptions] client in
            if options.time { try? await connect(client, callOptions) }
            let start = ContinuousClock.now
            // The bar must be gone before anything else is written to the terminal.
            defer {
                bar.end()
                if options.time { complain("\(request.method.name) \(milliseconds(since: start)) ms\n") }
            }
            try await bar.following(subject, client) {
                try await call(client, callOptions) { json in
                    bar.end()
                    show(json, field: field)
                }
            }
        }
    }

    /// Any first call makes the connection.
    private static func connect(_ client: Client, _ options: CallOptions) async throws {
        try await Method.named("probe")?.prepare("{}")(client, options) { _ in }
    }

    private static func milliseconds(since start: ContinuousClock.Instant) -> String {
        let tenths = Int64((ContinuousClock.now - start) / .microseconds(100))
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func show(_ json: String, field: [String]?) {
        guard let field else {
            print(json)
            return
        }
        switch (try? JSONValue(parsing: json))?.value(at: field[...]) {
        case .string(let text): print(text)
        case .some(let value): print(value.text)
        // Proto JSON leaves out default values: an empty line stands for those.
        case .none: print("")
        }
    }

    private static func printMethods() {
        for method in Method.all {
            print("\(method.service)/\(method.name): \(method.fields().joined(separator: " "))")
        }
    }

    /// Not through stderr's FILE, which Swift cannot prove safe.
    private static func complain(_ text: String) {
        let line = Array(text.utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }

    private static func json(of error: RPCError) -> String {
        var members = [
            JSONValue.Member(key: "code", value: .string(error.code.specificationName)),
            JSONValue.Member(key: "message", value: .string(error.message)),
        ]
        if let cause = error.cause { members.append(JSONValue.Member(key: "cause", value: .string("\(cause)"))) }
        return JSONValue.object(members).text
    }
}
