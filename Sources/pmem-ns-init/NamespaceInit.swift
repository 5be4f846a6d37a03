import ArgumentParser
import Logging
import Ndctl
import Program

/// Divides the machine's persistent memory into namespaces for the driver, region by region, and repairs what a run
/// left that was killed. Run once per boot, by an init container or by hand; running it again changes nothing.
@main
struct NamespaceInit: ProgramCommand {
    static let configuration = CommandConfiguration(
        commandName: "pmem-ns-init",
        abstract: "Creates the namespaces that the driver's volume groups are made of.",
        version: Version.current)
    static let syntax = FlagSyntax(
        flags: ["namespacesize", "useforfsdax", "useforsector"] + LogOptions.flags, booleans: ["dry-run"])

    @Option(name: .customLong("namespacesize"), help: "Size of each namespace in GiB; the last may be smaller.")
    var namespaceSize: Int64 = 32

    @Option(name: .customLong("useforfsdax"), help: "Percent of each region for namespaces of mode fsdax.")
    var fsdaxPercent: Int64 = 100

    @Option(name: .customLong("useforsector"), help: "Percent of each region for namespaces of mode sector.")
    var sectorPercent: Int64 = 0

    @Flag(name: .customLong("dry-run"), help: "Print what would be done as a table, and change nothing.")
    var isDryRun = false

    @OptionGroup
    var log: LogOptions

    func validate() throws {
        guard (1...Self.largestSize).contains(namespaceSize) else {
            throw ValidationError("flag -namespacesize: \(namespaceSize) is not within 1 to \(Self.largestSize) GiB")
        }
        for (flag, percent) in [("useforfsdax", fsdaxPercent), ("useforsector", sectorPercent)]
        where !(0...100).contains(percent) {
            throw ValidationError("flag -\(flag): \(percent) is not within 0 to 100 percent")
        }
        guard fsdaxPercent + sectorPercent <= 100 else {
            throw ValidationError(
                "flags -useforfsdax and -useforsector: \(fsdaxPercent) and \(sectorPercent) percent are more than 100")
        }
    }

    func run() throws {
        bootstrapLogging(log)
        let preparation = RegionPreparation(ndctl: Ndctl(), options: options, logger: Logger(label: "pmem-ns-init"))
        if isDryRun {
            Output.write(try preparation.table().description)
        } else {
            try preparation.run()
        }
    }

    /// In GiB; as bytes it fits into 63 bits.
    private static let largestSize: Int64 = 1 << 32

    private var options: NamespaceOptions {
        // All are above or equal to zero since they were validated.
        NamespaceOptions(
            namespaceSize: UInt64(namespaceSize.magnitude) << 30, fsdaxPercent: fsdaxPercent.magnitude,
            sectorPercent: sectorPercent.magnitude)
    }
}
