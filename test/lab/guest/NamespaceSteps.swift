import FoundationEssentials

/// pmem-ns-init on two fresh regions, seen by `ndctl list` and sysfs.
enum NamespaceSteps {
    struct Namespace: Decodable, Equatable {
        let dev, mode: String
        let size: UInt64
        let uuid: String?
        let name: String?
        let blockdev: String?
    }

    static let arguments = ["-useforfsdax", "50", "-useforsector", "40"]

    static let foreign = Step("a foreign namespace is there first", essential: true) { _ in
        let made = try await execute(
            "ndctl", "create-namespace", "-r", "region0", "-m", "fsdax", "-s", "128M", "-n", "someone-else")
        _ = try made.succeeded()
        return "128 MiB fsdax in region0"
    }

    static let topic = Topic(
        title: "Namespaces",
        steps: [
            foreign,
            Step("pmem-ns-init -dry-run changes nothing", quick: false) { lab in
                let before = try await namespaces()
                let plan = try await initialise(lab, "-dry-run").succeeded()
                try checkEqual(try await namespaces().count, before.count, "namespaces afterwards")
                for region in try regions() {
                    try check(plan.text.contains(region), "the plan does not speak of \(region):\n\(plan.text)")
                }
                return "a plan of \(plan.text.split(separator: "\n").count) lines"
            },
            Step("pmem-ns-init makes fsdax and sector namespaces in each region", essential: true) { lab in
                let foreign = try await namespaces()
                _ = try await initialise(lab).succeeded()
                let made = try await namespaces().filter { $0.name == "pmem-csi" }
                for mode in ["fsdax", "sector"] {
                    let sizes = made.filter { $0.mode == mode }.map(\.size)
                    try checkEqual(sizes.count, 2, "namespaces of mode \(mode) named pmem-csi")
                    try check(sizes.allSatisfy { $0 > 1200 * MiB }, "sizes of \(mode): \(sizes)")
                }
                let after = try await namespaces()
                try check(foreign.allSatisfy(after.contains), "a foreign namespace changed: \(foreign) to \(after)")
                let sizes = made.sorted { $0.dev < $1.dev }.map { "\($0.mode) \($0.size >> 20)" }
                return sizes.joined(separator: ", ") + " MiB; the foreign one untouched"
            },
            Step("what is left of a region is said, not lost in silence") { lab in
                let said = try Kernel.read("\(lab.shared)/pmem-ns-init.log")
                var left: [String] = []
                for region in try regions() {
                    let free = try Kernel.read("/sys/bus/nd/devices/\(region)/available_size")
                    let bytes = UInt64(free.filter(\.isNumber)) ?? 0
                    left.append("\(region) \(bytes >> 20) MiB")
                    guard bytes >= 64 * MiB else { continue }
                    let lines = said.split(separator: "\n").filter { $0.contains(region) }
                    let words = ["left", "unused", "remain", "free"]
                    let isSaid = lines.contains { line in words.contains { line.lowercased().contains($0) } }
                    try check(isSaid, "\(bytes >> 20) MiB of \(region) are left, and no line says so")
                }
                return left.joined(separator: ", ")
            },
            Step("running it again changes nothing") { lab in
                let before = try await namespaces()
                let again = try await initialise(lab).succeeded()
                try checkEqual(try await namespaces(), before, "namespaces")
                return "\(before.count) namespaces as before, \(again.milliseconds) ms"
            },
            Step("impossible percentages are refused", quick: false) { lab in
                let before = try await namespaces()
                for wrong in [
                    ["-useforfsdax", "101"], ["-useforfsdax", "60", "-useforsector", "50"], ["-useforsector", "-1"],
                ] {
                    let run = try await lab.tool("pmem-ns-init", wrong)
                    try check(run.status != 0, "\(run.command): exit status 0")
                }
                try checkEqual(try await namespaces(), before, "namespaces")
                return "3 command lines, exit status not 0"
            },
        ])

    static func initialise(_ lab: Lab, _ more: String...) async throws -> Output {
        try await lab.tool("pmem-ns-init", arguments + more)
    }

    static func namespaces() async throws -> [Namespace] {
        let output = try await execute("ndctl", "list", "-N").succeeded()
        let json = Data(output.text.utf8)
        if output.text.allSatisfy(\.isWhitespace) { return [] }
        let decoder = JSONDecoder()
        if let several = try? decoder.decode([Namespace].self, from: json) { return several }
        return [try decoder.decode(Namespace.self, from: json)]
    }

    static func regions() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/sys/bus/nd/devices")
            .filter { $0.hasPrefix("region") }.sorted()
    }
}
