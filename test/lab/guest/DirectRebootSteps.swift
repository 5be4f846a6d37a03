/// The last steps before the reboot, and what must hold after it.
enum DirectRebootSteps {
    private static let specs = [
        VolumeSpec(name: "pvc-kept", size: 128 * MiB, erase: true),
        VolumeSpec(name: "pvc-kept-btt", size: 64 * MiB, mode: "sector", erase: true),
    ]

    static let before = Topic(
        title: "Before the reboot",
        steps: [
            Step("a volume of each mode in use, with a file", quick: false) { lab in
                var ids: [String] = []
                for spec in specs {
                    let volume = try await Volume.create(spec)
                    try await volume.up()
                    try Kernel.write(RebootSteps.contents, to: "\(volume.targetPath)/file")
                    ids.append(volume.id)
                }
                try Kernel.write(ids.joined(separator: "\n"), to: "\(lab.shared)/kept-volumes")
                return ids.joined(separator: ", ")
            }
        ])

    static let afterwards = Topic(
        title: "After a reboot on the same NVDIMMs",
        steps: [
            Step("the driver starts", essential: true) { lab in "Probe ready after \(try await lab.driver.start()) ms"
            },
            Step("the volumes are listed, and only those") { lab in
                let ids = try Kernel.read("\(lab.shared)/kept-volumes").split(separator: "\n").map(String.init)
                try await lab.checkNothingLeaked(expecting: Set(ids))
                return "\(ids.count) volumes"
            },
            Step("they can be staged and published again, the files are intact") { lab in
                for spec in specs {
                    let volume = try await Volume.create(spec)
                    try await DirectLifeSteps.checkNamespace(volume, mode: spec.mode)
                    try await volume.up()
                    let mount = try Kernel.mounts(at: volume.targetPath)
                    try check(mount.count == 1 && mount[0].isDirect == (spec.mode == "fsdax"), "\(mount)")
                    try checkEqual(try Kernel.read("\(volume.targetPath)/file"), RebootSteps.contents, "the file")
                    if spec.mode == "fsdax" {
                        try DirectAccess.writeSynchronously("more", to: "\(volume.targetPath)/more")
                    }
                }
                return "fsdax with dax and MAP_SYNC, sector without"
            },
            Step("they can be deleted, and nothing remains") { lab in
                for spec in specs {
                    let volume = try await Volume.create(spec)
                    try await volume.down()
                    try await volume.delete()
                }
                try await lab.checkNothingLeaked(expecting: [])
                let left = try await DirectView.namespaces().compactMap(\.name)
                try checkEqual(left, ["someone-else"], "namespaces")
                return "only the foreign namespace is left"
            },
        ])
}
