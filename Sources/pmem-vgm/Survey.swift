import Glibc
import Host
import LVM
import Logging
import Ndctl
import Program

/// What is there and what is to be done about it, at one moment. Owned by one run of the program.
struct Survey {
    private(set) var plans: [VolumeGroupPlan] = []
    private(set) var warnings: [String] = []

    /// One lvm run, one look at the regions, and a look at each device that is in no group.
    static func take(lvm: LVM) async throws -> Survey {
        let report = try await lvm.report()
        return try await blocking { Survey(try Ndctl().snapshot(), report) }
    }

    private init(_ regions: [Region], _ report: LVM.Report) {
        for region in regions where region.isEnabled {
            for mode in [Namespace.Mode.fsdax, .sector] {
                let selection = Selection(region.namespaces, mode: mode)
                warnings += selection.warnings
                let members = selection.members.map { $0.named(by: report) }
                let plan = VolumeGroupPlan(
                    group: region.bus + region.devname + mode.rawValue, tag: mode.rawValue, members: members,
                    report: report, contents: Self.contents(of: members, report))
                plans.append(plan)
                warnings += plan.warnings
            }
        }
    }

    /// What is on the devices that lvm does not report in a group.
    private static func contents(of members: [Member], _ report: LVM.Report) -> [String: DeviceContents] {
        let taken = Set(report.groups.flatMap(\.physicalVolumes).map(\.device))
        let free = members.map(\.device).filter { !taken.contains($0) }
        return Dictionary(free.map { ($0, DeviceContents(of: $0)) }) { first, _ in first }
    }

    var errors: [String] { plans.flatMap(\.errors) }

    func log(to logger: Logger) {
        for warning in warnings {
            logger.warning("\(warning)")
        }
        for error in errors {
            logger.error("\(error)")
        }
    }

    /// Throws unless all that was planned exists; `pending` makes a step that is left to do count, too.
    func check(pending: Bool) throws {
        let missing = pending ? plans.filter { !$0.steps.isEmpty }.map(\.group) : []
        var reasons = errors
        if !missing.isEmpty {
            reasons.append("not as planned: volume group \(missing.joined(separator: ", "))")
        }
        guard reasons.isEmpty else { throw SurveyError(description: reasons.joined(separator: "; ")) }
    }

    /// One row per namespace, and one per missing tag.
    var table: TextTable {
        var table = TextTable(["GROUP", "TAG", "DEVICE", "NAMESPACE", "ACTION"])
        for plan in plans {
            if plan.steps.contains(.addTag) {
                table.append([plan.group, plan.tag, "", "", "add tag"])
            }
            for (member, outcome) in zip(plan.members, plan.outcomes) {
                table.append([plan.group, plan.tag, member.device, member.namespace, plan.action(outcome, member)])
            }
        }
        return table
    }
}

/// Why the program fails: the reasons, in one line for the termination log.
struct SurveyError: Error, CustomStringConvertible {
    let description: String
}

extension VolumeGroupPlan {
    fileprivate func action(_ outcome: Outcome, _ member: Member) -> String {
        switch outcome {
        case .inPlace: return "none"
        case .foreign(let group): return "left in \(group)"
        case .refused: return "refused"
        case .added:
            for case .create(let devices) in steps where devices.contains(member.device) { return "create" }
            for case .extend(let devices) in steps where devices.contains(member.device) { return "extend" }
            // The group itself has to be repaired first.
            return "refused"
        }
    }
}

extension Member {
    /// With the name that lvm has for the device: it may prefer a link to it.
    fileprivate func named(by report: LVM.Report) -> Member {
        let place = resolved(device)
        let volumes = report.groups.flatMap(\.physicalVolumes)
        let same = volumes.first { !$0.isMissing && resolved($0.device) == place }
        return Member(namespace: namespace, device: same?.device ?? device)
    }
}

extension DeviceContents {
    fileprivate init(of device: String) {
        do {
            if let label = try PhysicalVolumeLabel.read(device: device) {
                self = .label(label)
                return
            }
            self =
                switch try Filesystem.probe(BlockDevice(path: device)) {
                case .nothing: .blank
                case .filesystem(let type): .signature("a file system (\(type))")
                case .other(let type): .signature(type)
                case .ambiguous: .signature("several signatures")
                }
        } catch {
            self = .unreadable("\(error)")
        }
    }
}

/// The path without symbolic links; itself where there is nothing.
private func resolved(_ path: String) -> String {
    guard let place = realpath(path, nil) else { return path }
    defer { free(place) }
    return String(cString: place)
}
