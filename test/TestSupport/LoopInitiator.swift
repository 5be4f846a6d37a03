package import DeviceManager
import Host
import Synchronization

/// Storage targets whose volumes are loop devices of this machine: connecting one lets its device be seen.
///
/// Made by a test, which says what fails and is told of every step.
package final class LoopInitiator: Initiator {
    package enum Moment: Sendable {
        case beforeConnecting, afterConnecting, beforeDisconnecting, afterDisconnecting
    }

    private struct State {
        var connected: Set<String> = []
        var failure: DeviceError?
        var connects = 0
    }

    /// By the name of the subsystem or target, and the volume's UUID.
    private let devices: [String: String]
    private let state = Mutex(State())
    private let observe: @Sendable (Moment) throws -> Void

    package init(devices: [String: String], observe: @escaping @Sendable (Moment) throws -> Void = { _ in }) {
        self.devices = devices
        self.observe = observe
    }

    package var connected: Set<String> { state.withLock(\.connected) }
    package var connects: Int { state.withLock(\.connects) }

    /// Every connecting fails with it, until it is nil again.
    package func fail(with error: DeviceError?) { state.withLock { $0.failure = error } }

    /// As the kernel does after a reboot.
    package func loseConnections() { state.withLock { $0.connected = [] } }

    package func connect(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String] {
        try tell(.beforeConnecting)
        if let failure = state.withLock(\.failure) { throw failure }
        state.withLock { state in
            state.connected.insert(volume.name)
            state.connects += 1
        }
        try tell(.afterConnecting)
        return []
    }

    package func device(_ volume: RemoteVolume) throws(DeviceError) -> String? {
        connected.contains(volume.name) ? devices["\(volume.name) \(volume.uuid ?? "")"] : nil
    }

    package func isConnected(_ volume: RemoteVolume, as host: HostIdentity?) throws(DeviceError) -> Bool {
        connected.contains(volume.name)
    }

    package func disconnect(_ volume: RemoteVolume, as host: HostIdentity?) async throws(DeviceError) {
        try tell(.beforeDisconnecting)
        _ = state.withLock { $0.connected.remove(volume.name) }
        try tell(.afterDisconnecting)
    }

    package func restore(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String] { [] }

    package func siblings(_ volume: RemoteVolume) throws(DeviceError) -> [String] { [] }

    package func rescan(_ volume: RemoteVolume) async throws(DeviceError) {}

    private func tell(_ moment: Moment) throws(DeviceError) {
        do {
            try observe(moment)
        } catch {
            throw DeviceError(.failed, "the test stopped it", cause: error)
        }
    }
}
