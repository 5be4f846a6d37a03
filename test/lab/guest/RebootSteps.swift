import LVM

/// The last steps before the reboot, and what must hold after it.
enum RebootSteps {
    static let spec = VolumeSpec(name: "pvc-kept", size: 128 * MiB, erase: true)
    static let contents = "older than this machine's uptime"

    static let before = Topic(
        title: "Before the reboot",
        steps: [
            Step("a volume in use, with a file", quick: false) { lab in
                let volume = try await Volume.create(spec)
                try await volume.up()
                try Kernel.write(contents, to: "\(volume.targetPath)/file")
                try Kernel.write(volume.id, to: "\(lab.shared)/kept-volume")
                return volume.id
            }
        ])

    static let afterwards = Topic(
        title: "After a reboot on the same NVDIMMs",
        steps: [
            Step("pmem-ns-init finds everything as it was") { lab in
                let before = try await NamespaceSteps.namespaces()
                _ = try await NamespaceSteps.initialise(lab).succeeded()
                try checkEqual(try await NamespaceSteps.namespaces(), before, "namespaces")
                return "\(before.count) namespaces"
            },
            Step("so does pmem-vgm") { lab in
                let before = try await lab.groups().map(\.sequenceNumber)
                _ = try await lab.tool("pmem-vgm", []).succeeded()
                try checkEqual(try await lab.groups().map(\.sequenceNumber), before, "metadata sequence numbers")
                return "\(before.count) groups"
            },
            Step("the driver starts", essential: true) { lab in "Probe ready after \(try await lab.driver.start()) ms"
            },
            Step("the volume is listed, and only that") { lab in
                let id = try Kernel.read("\(lab.shared)/kept-volume")
                try await lab.checkNothingLeaked(expecting: [id])
                return id
            },
            Step("it can be staged and published again, the file is intact") { lab in
                let volume = try await Volume.create(spec)
                try await volume.up()
                let mount = try Kernel.mounts(at: volume.targetPath)
                try check(mount.count == 1 && mount[0].isDirect, "\(mount)")
                try checkEqual(try Kernel.read("\(volume.targetPath)/file"), contents, "the file")
                try DirectAccess.writeSynchronously("more", to: "\(volume.targetPath)/more")
                return "with dax, and MAP_SYNC works"
            },
            Step("it can be deleted, and nothing remains") { lab in
                let volume = try await Volume.create(spec)
                try await volume.down()
                try await volume.delete()
                try await lab.checkNothingLeaked(expecting: [])
                for group in try await lab.groups() {
                    try checkEqual(group.free, group.size, "free space of \(group.name)")
                }
                return "all groups are empty"
            },
            Step("a new volume lives a life here too") { lab in
                try await withVolume(VolumeSpec(name: "pvc-after", size: 256 * MiB)) { volume in
                    try await volume.up()
                    let faults = try DirectAccess.touch("\(volume.targetPath)/huge", pieces: 8)
                    try check(faults.huge >= 6, "\(faults.huge) of \(faults.pieces) pieces of 2 MiB were huge pages")
                    return "\(faults.huge) of \(faults.pieces) pieces of 2 MiB in one fault each"
                }
            },
        ])
}
