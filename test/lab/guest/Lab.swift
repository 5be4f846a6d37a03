import FoundationEssentials
import Glibc
import LVM
import Logging

/// What every step needs: where things are, the driver, and LVM's own view of the groups.
///
/// Made once by the command; the driver's state and logs are in the shared folder and outlive the guest.
struct Lab: Sendable {
    let programs: String
    let shared: String
    let driver: Driver
    let lvm: LVM
    let csi = CSI()

    /// Programs start faster from the guest's memory than from the host's files.
    ///
    /// `records` is where the driver keeps its state; nil: in the shared folder.
    init(
        programs source: String, shared: String, manager: String = "lvm", mode: String = "unified",
        records: String? = nil
    ) async throws {
        try Kernel.makeDirectories("/run/lab")
        programs = "/run/lab"
        let others = manager == "spdk" ? ["spdk-stand-in"] : ["pmem-ns-init", "pmem-vgm", "csictl"]
        for name in ["pmem-csi-driver"] + others where !Kernel.exists("\(programs)/\(name)") {
            _ = try await execute("cp", "\(source)/\(name)", "\(programs)/\(name)").succeeded()
        }
        self.shared = shared
        driver = Driver(
            program: "\(programs)/pmem-csi-driver", shared: shared, manager: manager, mode: mode,
            records: records ?? "\(shared)/state")
        lvm = LVM(logger: Logger(label: "lab", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    func tool(_ name: String, _ arguments: [String]) async throws -> Output {
        let file = "\(shared)/\(name).log"
        let start = ContinuousClock.now
        let before = (try? Kernel.read(file).count) ?? 0
        let child = try Child.start(["\(programs)/\(name)"] + arguments, output: file)
        let status = try await child.wait(atMost: .seconds(180))
        return Output(
            command: "\(name) \(arguments.joined(separator: " "))", status: status,
            text: String(try Kernel.read(file).dropFirst(before)), milliseconds: milliseconds(since: start))
    }

    /// Groups that pmem-vgm made, by name.
    func groups() async throws -> [VolumeGroup] {
        try await lvm.report().groups.filter { $0.name.hasPrefix("ndbus") }.sorted { $0.name < $1.name }
    }

    func groups(mode: String) async throws -> [VolumeGroup] {
        try await groups().filter { $0.name.hasSuffix(mode) }
    }

    /// The group that has the logical volume, and LVM's view of it.
    func find(_ id: String) async throws -> (group: VolumeGroup, volume: LogicalVolume)? {
        for group in try await groups() {
            if let volume = group.volume(id) { return (group, volume) }
        }
        return nil
    }

    func device(_ id: String) async throws -> String {
        guard let found = try await find(id) else { throw Failure("no group has a logical volume \(id)") }
        return try DeviceMapper.ensureNode(group: found.group.name, volume: id)
    }

    func free(mode: String) async throws -> UInt64 {
        try await groups(mode: mode).reduce(0) { $0 + $1.free }
    }

    /// Whether there is a logical volume or namespace of that name.
    func has(_ id: String) async throws -> Bool {
        if driver.manager == "direct" { return try await DirectView.namespaces(named: id).isEmpty == false }
        return try await find(id) != nil
    }

    /// Logical volumes (or namespaces), records and what is listed must be the same volumes and snapshots; returns how many there are.
    /// A thin pool must be there for as long as there are thin volumes, and no longer.
    @discardableResult
    func checkNothingLeaked(expecting expected: Set<String>? = nil) async throws -> Int {
        let volumes = Set(driver.manager == "direct" ? try await DirectView.volumes() : try await logicalVolumes())
        let records = Set(try driver.phases().keys)
        try check(volumes == records, "devices \(volumes.sorted()) and records \(records.sorted()) differ")
        let listed = Set(try await csi.ids() + csi.snapshotIDs())
        try check(listed == records, "what is listed, \(listed.sorted()), and records \(records.sorted()) differ")
        if let expected { try check(records == expected, "records \(records.sorted()), expected \(expected.sorted())") }
        return records.count
    }

    private func logicalVolumes() async throws -> [String] {
        let groups = try await groups()
        for group in groups where group.logicalVolumes.contains(where: \.isPool) {
            try check(
                group.logicalVolumes.contains { $0.pool != nil }, "\(group.name) has a thin pool with nothing in it")
        }
        let all = groups.flatMap(\.logicalVolumes).filter { !$0.isPool }
        return all.map(\.name).filter { !$0.hasPrefix("foreign") }
    }
}
