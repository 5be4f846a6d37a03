/// A short command for an everyday call: its positional arguments and flags are paths into the method's request.
/// `ShortForm.all` is the table; everything else goes through the method's own name.
struct ShortForm {
    let name: String
    let method: String
    /// Paths of the positional arguments, in order.
    var positionals: [String] = []
    /// Where the volume's capability is set; nil where the method has none.
    var capability: String?
    /// Set unless the command line says otherwise.
    var defaults: [(path: String, value: String)] = []
    /// Where this form's flags set another field than elsewhere.
    var ownFlags: [String: String] = [:]

    /// The request of a command line, as assignments in the order in which they must be made.
    func assignments(_ arguments: [String]) throws -> [Assignment] {
        var access = "SINGLE_NODE_WRITER"
        var filesystem: String? = "ext4"
        var made: [Assignment] = []
        var places = positionals[...]
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-"), argument.count > 1 else {
                // A positional argument may hold "=" itself only when all of them have been given.
                if let place = places.first, !Self.isAssignment(argument) {
                    places.removeFirst()
                    made.append(try Assignment(path: place, text: argument))
                } else {
                    made.append(try Assignment(argument))
                }
                continue
            }
            switch String(argument.drop { $0 == "-" }) {
            case "block": filesystem = nil
            case "ro": made.append(try Assignment(path: "readonly", text: "true"))
            case "fs": filesystem = try Self.pop(&rest, argument)
            case "access": access = try Self.pop(&rest, argument)
            case let flag:
                guard let path = ownFlags[flag] ?? Self.flags[flag] else {
                    throw UsageError("\(name) has no flag \(argument)")
                }
                made.append(try Assignment(path: path, text: try Self.pop(&rest, argument)))
            }
        }
        if let missing = places.first(where: { place in !made.contains { $0.path == [place] } }) {
            throw UsageError("\(name) needs \(missing)")
        }
        return try standard(access: access, filesystem: filesystem, given: made) + made
    }

    private func standard(access: String, filesystem: String?, given: [Assignment]) throws -> [Assignment] {
        // A copy is as large as its source, unless the command line says otherwise.
        let isCopy = given.contains { $0.path.first == "volume_content_source" }
        var standard = isCopy ? [] : try defaults.map { try Assignment(path: $0.path, text: $0.value) }
        let field = capability?.split(separator: ".").first.map(String.init)
        if let capability, !given.contains(where: { $0.path.first == field }) {
            standard.append(try Assignment(path: "\(capability).access_mode.mode", text: access))
            if let filesystem {
                standard.append(try Assignment(path: "\(capability).mount.fs_type", text: filesystem))
            } else {
                standard.append(try Assignment("\(capability).block:={}"))
            }
        }
        return standard
    }

    private static func isAssignment(_ text: String) -> Bool {
        guard let equals = text.firstIndex(of: "=") else { return false }
        return text[..<equals].allSatisfy { $0.isLetter || $0.isNumber || "._:/-".contains($0) } && !text.hasPrefix("/")
    }

    private static func pop(_ rest: inout ArraySlice<String>, _ flag: String) throws -> String {
        guard let value = rest.popFirst() else { throw UsageError("\(flag) needs a value") }
        return value
    }
}
