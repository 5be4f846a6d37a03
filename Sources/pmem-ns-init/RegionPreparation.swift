import Host
import Logging
import Ndctl
import Program

/// Executes the plans of all regions, one region after the other. An error ends the work on its mode and region only;
/// at the end all of them are reported, and everything planned exists if there was none.
struct RegionPreparation {
    let ndctl: Ndctl
    let options: NamespaceOptions
    let logger: Logger

    func table() throws(PreparationError) -> TextTable {
        var table = TextTable(
            ["REGION", "MODE", "ACTION", "SIZE", "BYTES", "NAMESPACE", "REMARK"], rightAligned: ["SIZE", "BYTES"])
        for plan in try regions().map({ NamespacePlan($0, options) }) {
            for entry in plan.entries {
                table.append([
                    plan.region, entry.mode?.rawValue ?? "", entry.action.rawValue, "\(ByteCount(entry.size))",
                    "\(entry.size)", entry.namespace, entry.detail,
                ])
            }
        }
        return table
    }

    func run() throws(PreparationError) {
        let regions = try regions()
        var failures: [String] = []
        for region in regions where region.lastingObstacle == nil {
            failures += prepare(region)
        }
        for region in regions {
            report(region.devname)
        }
        guard failures.isEmpty else {
            throw PreparationError("not everything planned exists: " + failures.joined(separator: "; "))
        }
        // Otherwise a cluster would run with no memory at all, and nobody would be told.
        guard regions.contains(where: { $0.lastingObstacle == nil }) else {
            let reasons = regions.compactMap(\.lastingObstacle).joined(separator: "; ")
            throw PreparationError("none of the machine's regions can be used: \(reasons)")
        }
    }

    private func regions() throws(PreparationError) -> [Region] {
        let regions = try PreparationError.wrapping { () throws(NdctlError) in try ndctl.snapshot() }
        guard !regions.isEmpty else {
            throw PreparationError(
                "there is no region of persistent memory: are there NVDIMMs, and are nfit and nd_pmem loaded?")
        }
        return regions
    }

    /// What went wrong.
    private func prepare(_ region: Region) -> [String] {
        var failures: [String] = []
        func trying(_ body: () throws -> Void) {
            do {
                try body()
            } catch {
                logger.error("a step failed", metadata: ["region": "\(region.devname)", "error": "\(error)"])
                failures.append("\(region.devname): \(error)")
            }
        }
        for entry in NamespacePlan(region, options).entries {
            trying { try repair(entry, region.devname) }
        }
        // Without that space a smaller namespace would be made, and stay for ever.
        guard failures.isEmpty else { return failures }
        for mode in NamespacePlan.modes {
            trying { try fill(region.devname, mode) }
        }
        return failures
    }

    private func repair(_ entry: NamespacePlan.Entry, _ region: String) throws {
        let metadata: Logger.Metadata = ["region": "\(region)", "namespace": "\(entry.namespace)"]
        switch entry.action {
        case .destroy:
            try ndctl.destroyNamespace(entry.namespace)
            logger.notice("destroyed an unfinished namespace", metadata: metadata)
        case .enable:
            try ndctl.enableNamespace(entry.namespace)
            logger.notice("enabled a namespace", metadata: metadata)
        default:
            break
        }
    }

    /// Looks again after each namespace: where the kernel puts it decides what fits next.
    private func fill(_ region: String, _ mode: Namespace.Mode) throws {
        while let facts = try ndctl.snapshot().first(where: { $0.devname == region }),
            let size = NamespacePlan(facts, options).sizes(toCreate: mode).first
        {
            let namespace = try create(region, mode, size)
            logger.notice(
                "created a namespace",
                metadata: [
                    "region": "\(region)", "namespace": "\(namespace)", "mode": "\(mode.rawValue)",
                    "size": .stringConvertible(size),
                ])
        }
    }

    /// The namespace gets our name only when nobody's old data can be taken for ours any more; until then the next
    /// run would destroy it.
    private func create(_ region: String, _ mode: Namespace.Mode, _ size: UInt64) throws -> String {
        let request = NamespaceRequest(name: NamespacePlan.unfinishedName, mode: mode, size: size)
        let namespace = try ndctl.createNamespace(region: region, request)
        do {
            guard let device = namespace.blockDevice else {
                throw PreparationError("\(namespace.devname) has no block device")
            }
            try BlockDevice(path: "/dev/\(device)").zeroEnds()
            try ndctl.renameNamespace(namespace.devname, to: NamespacePlan.name)
        } catch {
            logger.warning(
                "destroying a namespace that cannot be finished",
                metadata: ["region": "\(region)", "namespace": "\(namespace.devname)"])
            try? ndctl.destroyNamespace(namespace.devname)
            throw error
        }
        return namespace.devname
    }

    /// What there is now, and what stays unused and why.
    private func report(_ region: String) {
        guard let facts = try? ndctl.snapshot().first(where: { $0.devname == region }) else { return }
        for entry in NamespacePlan(facts, options).entries {
            var metadata: Logger.Metadata = ["region": "\(region)", "size": .stringConvertible(entry.size)]
            metadata["mode"] = entry.mode.map { "\($0.rawValue)" }
            metadata["namespace"] = entry.namespace.isEmpty ? nil : "\(entry.namespace)"
            metadata["reason"] = entry.detail.isEmpty ? nil : "\(entry.detail)"
            switch entry.action {
            case .skip: logger.warning("region not used", metadata: metadata)
            case .unused: logger.notice("memory stays unused", metadata: metadata)
            case .leave: logger.info("left alone", metadata: metadata)
            case .keep: logger.info("ready", metadata: metadata)
            case .create, .destroy, .enable: logger.warning("missing: \(entry.action.rawValue)", metadata: metadata)
            }
        }
    }
}

/// Why the program as a whole did not succeed; the message names the regions.
struct PreparationError: Error, CustomStringConvertible {
    let message: String
    let cause: (any Error)?

    init(_ message: String, cause: (any Error)? = nil) {
        self.message = message
        self.cause = cause
    }

    var description: String { cause.map { "\(message): \($0)" } ?? message }

    static func wrapping<T>(_ body: () throws(NdctlError) -> T) throws(PreparationError) -> T {
        do {
            return try body()
        } catch {
            throw PreparationError("cannot look at the regions", cause: error)
        }
    }
}
