/// The last step before a reboot, and what must hold after it.
enum RemoteRebootSteps {
    static let before = Topic(
        title: "Before the reboot",
        steps: [
            Step("a volume is in use", quick: false) { lab in
                try await RemoteLifeSteps.with(RemoteLifeSteps.subsystem(8)) { subsystem in
                    try await RemoteLifeSteps.volume(subsystem).up()
                    return try lab.remoteLeftovers().joined(separator: ", ")
                }
            }
        ])

    static let record = Topic(
        title: "What the machine before the reboot left",
        steps: [
            Step("a record of a volume, and nothing that is connected") { lab in
                let left = try lab.remoteLeftovers()
                try check(left.count == 1 && left[0].hasSuffix(".json"), "\(left)")
                return left[0]
            }
        ])

    static let afterwards = Topic(
        title: "After a reboot",
        steps: [
            Step("the record of what the reboot ended is gone") { lab in
                try lab.checkNothingRemote()
                return "no record"
            },
            Step("kubelet's calls for it are fine: it comes down, and up again") { lab in
                try await RemoteLifeSteps.withSubsystem(8) { subsystem in
                    let volume = RemoteLifeSteps.volume(subsystem)
                    try Kernel.makeDirectories(volume.stagePath)
                    try await volume.down()
                    try await volume.up()
                    try Kernel.write("x", to: "\(volume.targetPath)/file")
                    try await volume.down()
                    try lab.checkNothingRemote()
                    return "without udev"
                }
            },
        ])
}
