import ArgumentParser
import Logging
import Program

/// The CSI driver: reads the flags, then runs the services that `Assembly` makes of them until SIGTERM.
@main
struct Driver: ProgramCommand {
    static let configuration = CommandConfiguration(
        commandName: "pmem-csi-driver",
        abstract: "Serves persistent memory as Kubernetes volumes.",
        discussion: "Flags take one dash or two; each can come from the environment as PMEM_CSI_ and its name.",
        version: Version.current)
    static let syntax = FlagSyntax(
        flags: LogOptions.flags + Options.flags, booleans: Options.booleans,
        environmentNames: ["endpoint": "CSI_ENDPOINT"])

    @OptionGroup var log: LogOptions
    @OptionGroup var options: Options

    func validate() throws {
        _ = try options.configuration()
    }

    func run() async throws {
        Memory.keepSmall()
        bootstrapLogging(log)
        try await Assembly(configuration: options.configuration(), logger: Logger(label: "pmem-csi-driver")).run()
    }
}
