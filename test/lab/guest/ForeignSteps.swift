import FoundationEssentials
import GRPCCore
import LVM

/// What others made in the groups, and volumes that are in use.
enum ForeignSteps {
    /// Has the form of our ids, but was not made by the driver.
    static let lookalike = "foreign-0123456789abcdef0123456789abcdef-0123456789"

    static let topic = Topic(
        title: "Foreign volumes and volumes in use",
        steps: [
            Step("a logical volume made by somebody else is left alone") { lab in
                guard let group = try await lab.groups(mode: "fsdax").first?.name else { throw Failure("no group") }
                let free = try await lab.csi.free()
                for name in ["foreign", lookalike] {
                    try await lab.lvm.createVolume(group: group, name: name, size: 16 * MiB, tags: [])
                }
                let result: Result<String, any Error>
                do { result = .success(try await leftAlone(lab, free: free)) } catch { result = .failure(error) }
                for name in ["foreign", lookalike] { try? await lab.lvm.removeVolume(group: group, name: name) }
                try checkEqual(try await lab.csi.free(), free, "free space after they were removed")
                return try result.get()
            },
            Step("deletion while mounted is refused and harms nothing") { lab in
                try await withVolume(VolumeSpec(name: "pvc-mounted", erase: true)) { volume in
                    try await volume.up()
                    try Kernel.write("precious", to: "\(volume.targetPath)/file")
                    let message = try await refused(.failedPrecondition, "deletion while mounted") {
                        try await volume.delete()
                    }
                    try await volume.down()
                    try await volume.up()
                    try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "precious", "the file")
                    return message
                }
            },
            Step("so is one while published only", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-published")) { volume in
                    try await volume.controllerPublish()
                    return try await refused(.failedPrecondition, "deletion while published") {
                        try await volume.delete()
                    }
                }
            },
            Step("so is one while a container still has the mount", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-container", erase: true)) { volume in
                    try await volume.up()
                    let message = try await withProgram(
                        "unshare", "--mount", "--propagation", "private", "sleep", "1000"
                    ) { container in
                        try await eventually("a mount namespace", within: .seconds(10)) {
                            try mountNamespace(of: "\(container.process)") != mountNamespace(of: "self")
                        }
                        try await volume.down()
                        try checkEqual(try Kernel.mounts(at: volume.stagePath).count, 0, "mounts here")
                        return try await refused(.failedPrecondition, "deletion") { try await volume.delete() }
                    }
                    try await volume.up()
                    return message
                }
            },
            Step("so is one while a program has the device open", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-open")) { volume in
                    guard let group = try await lab.find(volume.id)?.group.name else {
                        throw Failure("no \(volume.id)")
                    }
                    let device = try await lab.device(volume.id)
                    return try await withProgram("sh", "-c", "exec sleep 1000 < \(device)") { _ in
                        try await eventually("an open device", within: .seconds(10)) {
                            try DeviceMapper.status(group: group, volume: volume.id)?.openCount ?? 0 > 0
                        }
                        return try await refused(.failedPrecondition, "deletion") { try await volume.delete() }
                    }
                }
            },
        ])

    /// The driver must see the foreign volumes' space as used, must not show them, and must not remove them.
    private static func leftAlone(_ lab: Lab, free: UInt64) async throws -> String {
        try checkEqual(try await lab.csi.free(), free - 32 * MiB, "free space beside two foreign volumes of 16 MiB")
        for name in ["foreign", lookalike] {
            try Kernel.fill(try await lab.device(name), with: 0x5A)
            try check(try await !lab.csi.ids().contains(name), "\(name) is listed")
            try? await lab.csi.delete(name)
        }
        try await withVolume(VolumeSpec(name: "pvc-beside", erase: true)) { try await $0.up() }
        try await lab.driver.stop()
        try await lab.driver.start()
        for name in ["foreign", lookalike] {
            try checkEqual(try Kernel.mebibytesInUse(try await lab.device(name)), 16, "MiB with the pattern in \(name)")
        }
        return "not listed, not deleted, contents intact after a restart; their space is not offered"
    }

    private static func mountNamespace(of process: String) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/mnt")
    }
}
