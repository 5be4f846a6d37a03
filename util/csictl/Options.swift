import Registry

/// The command line of csictl, parsed: global flags first, then a command and what it takes.
struct Options {
    var endpointText: String
    var timeout = Duration.seconds(600)
    var file: String?
    /// Print only this field of the response.
    var field: String?
    /// Show the progress of long work even where standard error is no terminal.
    var progress = false
    var time = false
    var command = "help"
    var arguments: [String] = []

    static let help = """
        usage: csictl [flags] METHOD [JSON | - | key=value ...]
               csictl [flags] SHORT FORM [key=value ...]
               csictl methods                              (every method with its request's fields)
               csictl adopt [ID ...]                       (see below)
               csictl status [-json]                       (everything at a glance, and what needs attention)
               csictl regions                              (the NVDIMMs' free space, in pieces, as this machine has it)

        short forms:
          info | probe | node-info | capacity | list
          create NAME | get ID | expand ID | modify ID | delete ID | attach ID NODE | detach ID NODE
          snapshot NAME ID | snapshots | get-snapshot ID | delete-snapshot ID
          stage ID STAGING | publish ID STAGING TARGET | stats ID PATH | node-expand ID PATH
          unpublish ID TARGET | unstage ID STAGING
          nodes | node forget NODE                    (of a controller: its nodes; one that will never come back)

        METHOD is CreateVolume, create-volume or controller.CreateVolume. A request is proto JSON, "-" reads it from
        standard input. key=value sets a field: capacity_range.required_bytes=1Gi parameters.nsmode=fsdax
        volume_capabilities.0.mount.fs_type=ext4; key:=JSON sets it to JSON.

        flags:
          -endpoint E   unix:///path or tcp://host:port (environment CSI_ENDPOINT, default unix:///tmp/pmem-csi.sock)
          -timeout S    seconds to wait for the answer (600)
          -f FILE       the request's JSON
          -field PATH   print only this field of the answer, text without quotes: volume.volume_id
          -progress     show on stderr how far erasing and copying came (always where stderr is a terminal)
          -time         print on stderr how many ms the call took, without those for the connection
        flags of the short forms: -size 1Gi -limit 2Gi -nsmode fsdax|sector -provisioning thick|thin
          -allocation create|publish -eraseafter true|false -fs ext4|xfs -block -access SINGLE_NODE_WRITER -ro -max N -token T
          -from-snapshot ID, -from-volume ID (create), -volume ID (snapshots), -staging PATH (stats, node-expand)
        adopt rebuilds lost records of volumes from their tags, or with -deviceManager=direct from the namespaces' names,
        of all volumes or those named; the driver must be stopped:
          -drivername N (pmem-csi.intel.com)   -statePath DIR (/var/lib/<drivername>)   -deviceManager lvm|direct

        Exit status: 0 OK; 1 the call failed, with {"code", "message"} on stderr; 2 wrong usage.
        """

    init(_ words: [String], environment: [String: String]) throws {
        let fallback = environment["CSI_ENDPOINT"] ?? ""
        endpointText = fallback.isEmpty ? "unix:///tmp/pmem-csi.sock" : fallback
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word.count > 1 else {
                // The one command of two words.
                command = word == "node" ? ([word] + [rest.popFirst()].compactMap(\.self)).joined(separator: " ") : word
                arguments = Array(rest)
                return
            }
            try take(flag: word, &rest)
        }
    }

    var endpoint: Endpoint {
        get throws {
            do {
                return try Endpoint(endpointText)
            } catch {
                throw UsageError("\(error)")
            }
        }
    }

    private mutating func take(flag word: String, _ rest: inout ArraySlice<String>) throws {
        let parts = word.drop { $0 == "-" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = parts.first.map(String.init) ?? ""
        if name == "h" || name == "help" {
            rest = []
            return
        }
        switch word.drop(while: { $0 == "-" }) {
        case "progress": return progress = true
        case "time": return time = true
        default: break
        }
        guard ["endpoint", "timeout", "f", "field"].contains(name) else { throw UsageError("unknown flag \(word)") }
        guard let value = parts.count > 1 ? String(parts[1]) : rest.popFirst() else {
            throw UsageError("\(word) needs a value")
        }
        switch name {
        case "endpoint": endpointText = value
        case "f": file = value
        case "field": field = value
        default:
            guard let seconds = Double(value), seconds > 0, seconds <= 1e6 else {
                throw UsageError("-timeout needs a number of seconds, not \"\(value)\"")
            }
            timeout = .milliseconds(Int64(seconds * 1000))
        }
    }
}
