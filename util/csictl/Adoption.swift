import DeviceManager
import Glibc
import LVM
import Logging

/// `csictl adopt`: rebuilds the records of volumes whose state directory was lost, from the tags on logical volumes or
/// the names of namespaces.
///
/// Existing records are left as they are, and nothing but records is written; namespaces that cannot be adopted as they
/// are now are named. The CSI name is not in the tags; the next
/// CreateVolume of that name meets the volume again by its id.
struct Adoption {
    private var driverName = "pmem-csi.intel.com"
    private var statePath: String?
    private var kind = ManagerKind.lvm
    private var ids: [String] = []

    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            switch parts.first.map({ String($0.drop { $0 == "-" }) }) {
            case "drivername" where argument.hasPrefix("-"): driverName = try Self.value(parts, &rest)
            case "statePath" where argument.hasPrefix("-"): statePath = try Self.value(parts, &rest)
            case "deviceManager" where argument.hasPrefix("-"): kind = try Self.kind(Self.value(parts, &rest))
            case _ where argument.hasPrefix("-"): throw UsageError("adopt has no flag \(argument)")
            default: ids.append(argument)
            }
        }
    }

    func run() async throws {
        let logger = Logger(label: "csictl", factory: { _ in SwiftLogNoOpLogHandler() })
        let records = try VolumeRecords(directory: statePath ?? "/var/lib/\(driverName)", logger: logger)
        let found = try await self.found(logger)
        let omitted = kind == .direct ? try await DirectDeviceManager(logger: logger).omittedNamespaces() : []
        if let unknown = ids.first(where: { id in !found.contains { $0.id == id } }) {
            throw UsageError("adopt: \(reason(unknown, omitted))")
        }
        for record in found where ids.isEmpty || ids.contains(record.id) {
            guard let id = VolumeID(record.id), try records.record(id) == nil else { continue }
            try records.save(record)
            print("adopted \(id) in \(record.location ?? "")")
        }
        for namespace in omitted where ids.isEmpty {
            guard try records.record(namespace.id) == nil else { continue }
            print("left out \(namespace.id): \(namespace.reason)")
        }
    }

    private func reason(_ id: String, _ omitted: [OmittedNamespace]) -> String {
        if let namespace = omitted.first(where: { $0.id.rawValue == id }) {
            return "volume \(id): \(namespace.reason)"
        }
        let mark = kind == .lvm ? "with the tags of driver \(driverName)" : "by the name of any namespace"
        return "no volume \(id) \(mark)"
    }

    private func found(_ logger: Logger) async throws -> [VolumeRecord] {
        guard kind == .lvm else { return try await DirectDeviceManager(logger: logger).rebuiltRecords() }
        let manager = LVMDeviceManager(driverName: driverName, lvm: LVM(logger: logger), logger: logger)
        return try await manager.rebuiltRecords()
    }

    private static func kind(_ text: String) throws -> ManagerKind {
        guard let kind = ManagerKind(rawValue: text), kind != .file else {
            throw UsageError("adopt: -deviceManager is \"\(text)\"; it can be lvm or direct")
        }
        return kind
    }

    private static func value(_ parts: [String], _ rest: inout ArraySlice<String>) throws -> String {
        guard let value = parts.count > 1 ? parts[1] : rest.popFirst() else {
            throw UsageError("\(parts.first ?? "flag") needs a value")
        }
        return value
    }
}
