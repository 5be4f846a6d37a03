/// A short command for an everyday call: its positional arguments and flags are paths into the method's request.
/// `ShortForm.all` is the table; everything else goes through the method's own name.
struct ShortForm {
    let name: String
    let method: String
    /// Paths of the positional arguments, in order.
    var positionals: [String] = []
    /// Flags beside those of `flags`.
    var capability: String?
    /// Set unless the command line says otherwise.
    var defaults: [(path: String, value: String)] = []

    static let all: [ShortForm] = [
        ShortForm(
            name: "create", method: "CreateVolume", positionals: ["name"], capability: "volume_capabilities.0",
            defaults: [("capacity_range.required_bytes", "1Gi")]),
        ShortForm(name: "delete", method: "DeleteVolume", positionals: ["volume_id"]),
        ShortForm(name: "list", method: "ListVolumes"),
        ShortForm(name: "capacity", method: "GetCapacity"),
        ShortForm(
            name: "attach", method: "ControllerPublishVolume", positionals: ["volume_id", "node_id"],
            capability: "volume_capability"),
        ShortForm(name: "detach", method: "ControllerUnpublishVolume", positionals: ["volume_id", "node_id"]),
        ShortForm(
            name: "stage", method: "NodeStageVolume", positionals: ["volume_id", "staging_target_path"],
            capability: "volume_capability"),
        ShortForm(
            name: "publish", method: "NodePublishVolume",
            positionals: ["volume_id", "staging_target_path", "target_path"], capability: "volume_capability"),
        ShortForm(name: "unpublish", method: "NodeUnpublishVolume", positionals: ["volume_id", "target_path"]),
        ShortForm(name: "unstage", method: "NodeUnstageVolume", positionals: ["volume_id", "staging_target_path"]),
        ShortForm(name: "probe", method: "Probe"),
        ShortForm(name: "info", method: "GetPluginInfo"),
        ShortForm(name: "node-info", method: "NodeGetInfo"),
    ]

    /// Flags that set a field, whichever the short form.
    private static let flags: [String: String] = [
        "size": "capacity_range.required_bytes",
        "limit": "capacity_range.limit_bytes",
        "nsmode": "parameters.nsmode",
        "eraseafter": "parameters.eraseafter",
        "max": "max_entries",
        "token": "starting_token",
    ]

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
                guard let path = Self.flags[flag] else { throw UsageError("\(name) has no flag \(argument)") }
                made.append(try Assignment(path: path, text: try Self.pop(&rest, argument)))
            }
        }
        if let missing = places.first { throw UsageError("\(name) needs \(missing)") }
        return try standard(access: access, filesystem: filesystem, given: made) + made
    }

    private func standard(access: String, filesystem: String?, given: [Assignment]) throws -> [Assignment] {
        var standard = try defaults.map { try Assignment(path: $0.path, text: $0.value) }
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
