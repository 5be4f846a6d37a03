import LVM

/// pmem-vgm on those namespaces, and the driver's start on the groups.
enum GroupSteps {
    static let topic = Topic(
        title: "Volume groups",
        steps: [
            Step("pmem-vgm -dry-run changes nothing", quick: false) { lab in
                let plan = try await lab.tool("pmem-vgm", ["-dry-run"]).succeeded()
                try checkEqual(try await lab.groups().count, 0, "groups afterwards")
                try check(plan.text.contains("ndbus0region0fsdax"), "the plan names no group:\n\(plan.text)")
                return "a plan of \(plan.text.split(separator: "\n").count) lines"
            },
            Step("pmem-vgm makes one group per region and mode", essential: true) { lab in
                _ = try await lab.tool("pmem-vgm", []).succeeded()
                let names = try await lab.groups().map(\.name)
                try checkEqual(names, expectedNames, "groups")
                return names.joined(separator: " ")
            },
            Step("their geometry suits huge pages and 10,000 volumes") { lab in
                for group in try await lab.groups() {
                    try checkEqual(group.extentSize, 4 * MiB, "extents of \(group.name)")
                    for device in group.physicalVolumes {
                        let what = "of \(device.device) in \(group.name)"
                        try check(device.dataStart.isMultiple(of: 2 * MiB), "data start \(what): \(device.dataStart)")
                        try check(device.metadataSize >= 16 * MiB, "metadata area \(what): \(device.metadataSize)")
                        try check(!device.isMissing, "missing \(what)")
                    }
                }
                let device = try await lab.groups().first?.physicalVolumes.first
                return
                    "4 MiB extents, data at \(mebibytes(device?.dataStart ?? 0)), 16 MiB of metadata and more"
            },
            Step("each has its mode as a tag, and a lost tag comes back", quick: false) { lab in
                try await lab.lvm.run(["vgchange", "--deltag", "fsdax", "ndbus0region0fsdax"])
                _ = try await lab.tool("pmem-vgm", []).succeeded()
                for group in try await lab.groups() {
                    let mode = group.name.hasSuffix("sector") ? "sector" : "fsdax"
                    try check(group.tags.contains(mode), "\(group.name) has the tags \(group.tags)")
                }
                return "fsdax, sector"
            },
            Step("the foreign namespace is in no group") { lab in
                let foreign = try await NamespaceSteps.namespaces().filter { $0.name == "someone-else" }
                try checkEqual(foreign.count, 1, "namespaces named someone-else")
                let device = "/dev/\(foreign.first?.blockdev ?? "")"
                let report = try await lab.lvm.report()
                let taken = report.groups.flatMap(\.physicalVolumes) + report.unusedPhysicalVolumes
                try check(!taken.contains { $0.device == device }, "\(device) has an LVM label")
                return device
            },
            Step("running it again changes nothing") { lab in
                let before = try await lab.groups()
                let again = try await lab.tool("pmem-vgm", []).succeeded()
                try checkEqual(try await lab.groups(), before, "groups")
                return "same metadata sequence numbers, \(again.milliseconds) ms"
            },
        ])

    private static let expectedNames = [
        "ndbus0region0fsdax", "ndbus0region0sector", "ndbus0region1fsdax", "ndbus0region1sector",
    ]
}
