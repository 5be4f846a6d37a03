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
            case "adopt": try await Adoption(options.arguments).run()
            default: try await call(options)
            }
            return 0
        } catch let error as UsageError {
            complain("csictl: \(error)")
            return 2
        } catch {
            complain(json(of: RPCError(anyError: error)))
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
        try await withClient(to: endpoint) { [callOptions] client in
            try await call(client, callOptions) { show($0, field: field) }
        }
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
        let line = Array("\(text)\n".utf8)
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
