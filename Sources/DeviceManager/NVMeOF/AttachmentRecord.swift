import FoundationEssentials
import Host

/// What a node knows about a volume of a storage target: how it is connected, and what its file system is.
///
/// It is on disk before the connection is made, and until the connection is certainly gone.
package struct AttachmentRecord: Sendable, Equatable, Codable {
    package enum Phase: String, Sendable, Codable {
        /// Never answered: start-up ends the connection unless something is mounted.
        case attaching
        case attached
        /// Will be gone: start-up goes on with it.
        case detaching
        /// Not connected; kept because a mkfs of ours may have been cut off on it.
        case detached
    }

    package var volume: RemoteVolume
    /// As whom it is connected; nil for a connection that this driver did not make.
    package var host: HostIdentity?
    package var phase: Phase
    package var stagingPath: String
    package var format: VolumeRecord.Format
    /// Paths that its block device had, the last one last: after a loss it comes back under another name while the old
    /// one is still mounted.
    package var devices: [String]
    /// The kernel's boot id: connections and mounts end with it.
    package var boot: String
    /// When it was written last, in seconds since 1970.
    package var time: Double

    package init(_ volume: RemoteVolume, as host: HostIdentity?, phase: Phase, stagingPath: String) {
        self.volume = volume
        self.host = host
        self.phase = phase
        self.stagingPath = stagingPath
        format = .unknown
        devices = []
        boot = Self.currentBoot
        time = Date().timeIntervalSince1970
    }

    package var id: String { volume.id }

    package static let currentBoot = (try? KernelFile.read("/proc/sys/kernel/random/boot_id")) ?? ""
}
