package import DeviceManager
import Host
package import Logging
import Synchronization

/// A node that uses volumes of storage targets: what is attached to it, and how it finds the rest.
///
/// Made by the assembly, shared by the node service and its recovery.
package final class RemoteNode: Sendable {
    /// Finds what a volume context would say of a volume of which only the id is known; nil when it cannot.
    package typealias Lookup = @Sendable (_ id: String) async throws -> [String: String]?

    let nodeID: String
    let attachments: RemoteAttachments
    let timeouts: PathTimeouts
    /// What must work here; nil: at least one of them.
    let transports: Set<RemoteVolume.Transport>?
    /// How many volumes may be attached; 0: as many as the kernel takes.
    let maximumVolumes: Int64
    let logger: Logger
    private let lookup: Lookup?
    private let state = Mutex(Readiness.starting)

    package init(
        nodeID: String, attachments: RemoteAttachments, configuration: NodeServerConfiguration,
        maximumVolumes: Int64 = 0, lookup: Lookup? = nil, logger: Logger
    ) {
        self.nodeID = nodeID
        self.attachments = attachments
        timeouts = configuration.timeouts
        transports = configuration.transports
        self.maximumVolumes = maximumVolumes
        self.lookup = lookup
        self.logger = logger
    }

    /// What Probe answers. Calls are served even when it says `failed`: volumes must come down in any case.
    package var readiness: Readiness { state.withLock { $0 } }

    func set(_ state: Readiness) { self.state.withLock { $0 = state } }

    func checkStarted() throws(RequestError) {
        if case .starting = readiness { try readiness.check() }
    }

    /// The volume as the contexts describe it, or as it is looked up where they do not.
    func volume(
        _ id: String, volumeContext: [String: String], publishContext: [String: String]
    ) async throws -> RemoteVolume {
        var context = volumeContext
        if !RemoteVolume.hasAddress(volumeContext.merging(publishContext) { $1 }), let found = try await lookup?(id) {
            context = found.merging(volumeContext) { $1 }
        }
        return try RemoteVolume(
            id: id, volumeContext: context, publishContext: publishContext, timeouts: timeouts)
    }

    func device(of record: AttachmentRecord) async throws -> VolumeDevice {
        let path = try await attachments.device(record) ?? record.devices.last
        return VolumeDevice(id: record.id, path: path, former: record.devices.filter { $0 != path })
    }

    /// The record of an attached volume; nil when it is not here. Volumes of the driver before this one, spdk-csi, are
    /// found by their id.
    func record(_ id: String, at staging: String?) async throws -> AttachmentRecord? {
        if let record = try attachments.record(id) { return record.phase == .detached ? nil : record }
        let context = staging.flatMap { try? OldContext(staging: $0) }
        return try await attachments.adopt(id, context: context?.values ?? [:], stagingPath: staging ?? "")
    }
}
