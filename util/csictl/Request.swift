import Glibc

/// Which method a command line calls and with what JSON; made by `main`, pure but for reading the request's file.
struct Request {
    let method: Method
    let json: String

    init(_ options: Options) throws {
        // Some short forms have the name of their method, which takes whole requests too.
        let isWhole = options.file != nil || options.arguments.first.map { $0 == "-" || $0.hasPrefix("{") } ?? false
        if let short = ShortForm.all.first(where: { $0.name == options.command }), !isWhole,
            let method = Method.named(short.method)
        {
            self.method = method
            json = try Self.object(try short.assignments(options.arguments))
            return
        }
        guard let method = Method.named(options.command) else {
            throw UsageError("unknown method or command \"\(options.command)\"; see csictl methods")
        }
        self.method = method
        json = try Self.json(options)
    }

    /// The name or id under which the driver would report long work for this request.
    var subject: String? {
        let value = try? JSONValue(parsing: json)
        return ["name", "snapshot_id", "volume_id"].lazy.compactMap { key in
            guard case .string(let text) = value?.value(at: [key]), !text.isEmpty else { return nil }
            return text
        }.first
    }

    private static func json(_ options: Options) throws -> String {
        if let file = options.file {
            guard options.arguments.isEmpty else { throw UsageError("-f and a request on the command line") }
            return try read(file)
        }
        if options.arguments == ["-"] { return try read("-") }
        if let only = options.arguments.first, options.arguments.count == 1, only.hasPrefix("{") { return only }
        return try object(options.arguments.map { try Assignment($0) })
    }

    private static func object(_ assignments: [Assignment]) throws -> String {
        var value = JSONValue.object([])
        for assignment in assignments { try value.set(assignment.path[...], assignment.value) }
        return value.text
    }

    /// By read(2), because standard input may be a pipe, which has no size.
    private static func read(_ path: String) throws -> String {
        let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw UsageError("cannot read \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { throw UsageError("cannot read \(path): \(String(cString: strerror(errno)))") }
            if count == 0 { return String(decoding: content, as: UTF8.self) }
            content += chunk.prefix(count)
        }
    }
}
