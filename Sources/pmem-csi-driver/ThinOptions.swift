import ArgumentParser
import DeviceManager

/// The flags about volumes with provisioning thin, for the LVM device manager.
struct ThinOptions: ParsableArguments {
    static let flags = ["thinPoolPercent", "thinOvercommit"]

    @Option(
        name: .customLong("thinPoolPercent"),
        help: """
            Percent of a volume group's free space that its thin pool gets when its first thin volume is made \
            (default: 50).
            """)
    var poolPercent: Int?
    @Option(
        name: .customLong("thinOvercommit"),
        help: """
            The sizes of a pool's thin volumes together, in relation to the pool; above 1 it can run full (default: 1).
            """)
    var overcommit: Double?

    func provisioning(_ manager: ManagerChoice) throws -> ThinProvisioning {
        try check(manager)
        let usual = ThinProvisioning()
        let (poolPercent, overcommit) = (poolPercent ?? usual.poolPercent, overcommit ?? usual.overcommit)
        guard (1...100).contains(poolPercent) else {
            throw ValidationError("flag -thinPoolPercent: \(poolPercent) is not between 1 and 100")
        }
        guard (1...1000).contains(overcommit) else {
            throw ValidationError("flag -thinOvercommit: \(overcommit) is not between 1 and 1000")
        }
        return ThinProvisioning(poolPercent: poolPercent, overcommit: overcommit)
    }

    private func check(_ manager: ManagerChoice) throws {
        guard manager != .local(.lvm) else { return }
        for (name, isGiven) in [("thinPoolPercent", poolPercent != nil), ("thinOvercommit", overcommit != nil)]
        where isGiven {
            throw ValidationError("flag -\(name): only -deviceManager=lvm has it; other volumes are in no thin pools")
        }
    }
}
