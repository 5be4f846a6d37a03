import CoreMetrics
import Host
package import Logging
import Ndctl

/// Volumes as namespaces of their own, made in the regions' free space when they are asked for.
///
/// A namespace is a volume's by its name in the labels, which is the volume's id. Nothing is kept in memory: each call
/// looks at the regions anew.
package final class DirectDeviceManager: DeviceManager {
    private let ndctl = Ndctl()
    let logger: Logger
    /// libndctl does one thing at a time; who waits for it must not hold a thread meanwhile.
    private let turn = AsyncLock()
    let erasedBytes = Counter(label: "pmem_csi_erased_bytes_total")

    package init(logger: Logger) {
        self.logger = logger
    }

    package var defaultParameters: VolumeParameters { ManagerKind.direct.defaultParameters }

    package func start() async throws(DeviceError) {
        try await blockingDevice { try Sysfs.checkWritable() }
        let regions = try await inTurn { ndctl in try ndctl.snapshot() }
        if regions.isEmpty {
            logger.warning(
                "there is no region of persistent memory: are there NVDIMMs, and are nfit and nd_pmem loaded?")
        }
        for region in regions { report(region) }
    }

    package func capacity(for parameters: VolumeParameters) async throws(DeviceError) -> Capacity {
        try await inTurn { ndctl in DirectPlan(try ndctl.snapshot()).capacity(for: parameters) }
    }

    package func place(_ spec: VolumeSpec) async throws(DeviceError) -> String {
        try await inTurn { ndctl in
            let region = try DirectPlan(ndctl.snapshot()).place(spec)
            return RegionLocation(devname: region.devname, interleaveSet: region.interleaveSet).text
        }
    }

    /// Only a namespace keeps a piece of a region from others, so nothing is promised; `VolumeParameters` refuses it first.
    package func promise(_ spec: VolumeSpec, at location: String) throws(DeviceError) -> Volume {
        throw DeviceError(
            .invalidArgument,
            "volume \(spec.id): parameters: allocation is \"publish\", which volumes that are namespaces do not have")
    }

    package func release(_ id: VolumeID) {}

    package func volume(_ id: VolumeID, location: String?) async throws(DeviceError) -> Volume? {
        // Without a record it is nobody's, and stays as it is.
        try await find(id, enabling: location != nil)?.volume(id)
    }

    package func volumes() async throws(DeviceError) -> [Volume] {
        try await inTurn { ndctl in try ndctl.snapshot().volumes.map { $0.named.volume($0.id) } }.sorted {
            $0.id < $1.id
        }
    }

    /// Records for all volumes, made from the names of their namespaces alone: for a state directory that was lost.
    ///
    /// A label tells neither that something was a snapshot nor the parameters, so snapshots become volumes, too. What is
    /// left out, `omittedNamespaces` tells.
    package func rebuiltRecords() async throws(DeviceError) -> [VolumeRecord] {
        let defaults = defaultParameters
        return try await inTurn { ndctl in
            try ndctl.snapshot().volumes.filter { $0.named.omission == nil }.map { id, named in
                var parameters = defaults
                parameters.mode = named.namespace.mode == .sector ? .sector : .fsdax
                return VolumeRecord(adopting: named.volume(id), name: "", parameters: parameters)
            }
        }
    }

    package func attach(_ id: VolumeID, location: String) async throws(DeviceError) -> String {
        guard let found = try await find(id, enabling: true) else {
            throw DeviceError(
                .unavailable,
                "volume \(id): no region here has its namespace; bring its region back, which was "
                    + RegionLocation(location).devname)
        }
        guard found.isVolume, let path = found.path else {
            let namespace = found.namespace
            throw DeviceError(
                .failedPrecondition,
                "volume \(id): its namespace \(namespace.devname) is in mode \(namespace.mode.rawValue), without the page "
                    + "map or BTT that it was made with; it can only be deleted")
        }
        return path
    }

    /// Namespaces stay enabled.
    package func detach(_ id: VolumeID, location: String) {}

    package func device(_ id: VolumeID, location: String) async throws(DeviceError) -> String? {
        try await find(id, enabling: false)?.path
    }

    /// The label has room for the name alone.
    package func update(_ id: VolumeID, location: String, parameters: VolumeParameters) {}
}

extension DirectDeviceManager {
    /// Runs one operation with libndctl; blocks no thread but the one that does it.
    func inTurn<Result: Sendable>(
        _ body: @escaping @Sendable (Ndctl) throws -> Result
    ) async throws(DeviceError) -> Result {
        try await turn.withLock { [ndctl] () throws(DeviceError) in
            try await blockingDevice {
                do {
                    return try body(ndctl)
                } catch let error as NdctlError {
                    throw DeviceError(error)
                }
            }
        }
    }

    /// The volume's namespace; nil when no region here has it. One that somebody disabled is enabled where that is
    /// wanted; whether it has a page map or BTT is known only then.
    ///
    /// Throws `failedPrecondition` when there are several, `unavailable` when it stays disabled.
    func find(_ id: VolumeID, enabling: Bool) async throws(DeviceError) -> NamedNamespace? {
        try await inTurn { [logger] ndctl in
            let found = try Self.single(id, ndctl)
            guard let found, enabling, !found.namespace.isActive else { return found }
            Self.enable(found, id, ndctl, logger)
            guard let again = try Self.single(id, ndctl), again.namespace.isActive else {
                let devname = found.namespace.devname
                throw DeviceError(
                    .unavailable,
                    "volume \(id): its namespace is disabled; `ndctl enable-namespace \(devname)` should bring it back")
            }
            return again
        }
    }

    private static func single(_ id: VolumeID, _ ndctl: Ndctl) throws -> NamedNamespace? {
        let found = try ndctl.namespaces(of: id)
        guard found.count < 2 else {
            let names = found.map(\.namespace.devname).joined(separator: " and ")
            throw DeviceError(
                .failedPrecondition, "volume \(id) exists more than once: \(names) have its name; destroy one of them")
        }
        return found.first
    }

    private static func enable(_ found: NamedNamespace, _ id: VolumeID, _ ndctl: Ndctl, _ logger: Logger) {
        let devname = found.namespace.devname
        do {
            try ndctl.enableNamespace(devname)
            logger.notice(
                "enabled the namespace of a volume", metadata: ["volume": "\(id)", "namespace": "\(devname)"])
        } catch {
            // One broken volume must not keep the others away.
            logger.error(
                "the namespace of a volume cannot be enabled", metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }

    /// What there is for volumes, and what is left alone and why.
    private func report(_ region: Region) {
        if let obstacle = region.obstacle {
            logger.warning("a region is not used", metadata: ["region": "\(region.devname)", "reason": "\(obstacle)"])
        } else {
            noteSpace(in: region)
        }
        for namespace in region.namespaces where VolumeID(namespace.alternateName) == nil {
            logger.notice(
                "a namespace is not ours and is left alone",
                metadata: [
                    "region": "\(region.devname)", "namespace": "\(namespace.devname)",
                    "name": "\(namespace.alternateName)", "mode": "\(namespace.mode.rawValue)",
                    "size": "\(namespace.rawSize)",
                ])
        }
    }

    /// A volume has to be in one piece, so it is the largest that counts.
    func noteSpace(in region: Region) {
        let space = RegionSpace(region, NamespaceLayout(defaultParameters))
        let metadata: Logger.Metadata = [
            "region": "\(region.devname)", "pieces": "\(space.pieces.count)", "largest": "\(space.maximum)",
            "available": "\(space.available)",
        ]
        if space.pieces.count > 1 {
            logger.notice("the free space of a region is in pieces", metadata: metadata)
        } else {
            logger.info("free space", metadata: metadata)
        }
    }
}
