import ArgumentParser
import DeviceManager

/// The flags about volumes with provisioning thin, for the LVM device manager.
struct ThinOptions: ParsableArguments {
    static let flags = ["thinPoolPercent", "thinOvercommit"]

    @Option(
        name: .customLong("thinPoolPercent"),
        help: "Percent of a volume group's free space that its thin pool gets when its first thin volume is made.")
    var poolPercent = 50
    @Option(
        name: .customLong("thinOvercommit"),
        help: "The sizes of a pool's thin volumes together, in relation to the pool; above 1 it can run full.")
    var overcommit = 1.0

    func provisioning() throws -> ThinProvisioning {
        guard (1...100).contains(poolPercent) else {
            throw ValidationError("flag -thinPoolPercent: \(poolPercent) is not between 1 and 100")
        }
        guard (1...1000).contains(overcommit) else {
            throw ValidationError("flag -thinOvercommit: \(overcommit) is not between 1 and 1000")
        }
        return ThinProvisioning(poolPercent: poolPercent, overcommit: overcommit)
    }
}
