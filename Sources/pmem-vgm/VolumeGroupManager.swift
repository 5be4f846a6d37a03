import ArgumentParser
import LVM
import Logging
import Ndctl
import Program

/// The program `pmem-vgm`: for each region and mode, puts the namespaces that pmem-ns-init made into one volume group.
/// Running it again changes nothing, and repairs what a killed run left half done; it never wipes.
@main struct VolumeGroupManager: ProgramCommand {
    static let configuration = CommandConfiguration(
        commandName: "pmem-vgm", abstract: "Makes one LVM volume group per persistent memory region and mode.",
        version: Version.current)
    static let syntax = FlagSyntax(flags: LogOptions.flags, booleans: ["dry-run"])

    @OptionGroup var log: LogOptions
    @Flag(name: .customLong("dry-run"), help: "Print what would be done, and change nothing.")
    var dryRun = false

    func run() async throws {
        bootstrapLogging(log)
        let logger = Logger(label: "pmem-vgm")
        let lvm = LVM(logger: logger)
        let survey = try await Survey.take(lvm: lvm)
        survey.log(to: logger)
        if dryRun {
            print(survey.table)
        } else if await execute(survey.plans, lvm: lvm, logger: logger) {
            // What counts is what exists now, be it made by us or by another pmem-vgm at the same time.
            return try check(try await Survey.take(lvm: lvm), logger: logger, repeating: survey)
        }
        try survey.check(pending: false)
    }

    /// Whether there was anything to do. A step that fails does not keep the other groups from being made.
    private func execute(_ plans: [VolumeGroupPlan], lvm: LVM, logger: Logger) async -> Bool {
        for plan in plans {
            for step in plan.steps {
                let metadata: Logger.Metadata = ["group": "\(plan.group)", "step": "\(step)"]
                do {
                    try await lvm.execute(step, of: plan)
                    logger.notice("volume group changed", metadata: metadata)
                } catch {
                    logger.error("volume group not changed: \(error)", metadata: metadata)
                }
            }
        }
        return plans.contains { !$0.steps.isEmpty }
    }

    private func check(_ survey: Survey, logger: Logger, repeating earlier: Survey) throws {
        for error in survey.errors where !earlier.errors.contains(error) {
            logger.error("\(error)")
        }
        try survey.check(pending: true)
    }
}

extension LVM {
    fileprivate func execute(_ step: VolumeGroupPlan.Step, of plan: VolumeGroupPlan) async throws(LVMError) {
        switch step {
        case .recreate(let device): try await recreatePhysicalVolume(device: device)
        case .create(let devices): try await createGroup(plan.group, devices: devices, tags: [plan.tag])
        case .extend(let devices): try await extendGroup(plan.group, devices: devices)
        case .addTag: try await addGroupTag(plan.tag, group: plan.group)
        }
    }
}
