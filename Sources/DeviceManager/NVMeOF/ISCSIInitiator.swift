import Host
package import Logging

/// iSCSI by the kernel's initiator and `iscsiadm`. One address at a time: the kernel does not join several sessions to
/// one block device.
package struct ISCSIInitiator: Initiator {
    private let tree: ISCSITree
    private let program = ISCSIAdministration()
    private let limit: Duration
    private let logger: Logger

    package init(logger: Logger) {
        tree = ISCSITree()
        limit = .seconds(20)
        self.logger = logger
    }

    package func connect(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String] {
        let failures = try await login(volume)
        let isThere = try await BlockingLane.remote.wait(atMost: limit) {
            guard let session = try sessions(volume).first(where: \.isLoggedIn),
                let disk = try tree.disk(of: session, lun: volume.lun)
            else { return false }
            return (try? BlockDevice(path: "/dev/\(disk.name)").size() > 0) ?? false
        }
        guard !isThere else { return failures }
        throw try await blockingDevice(on: .remote) { try missing(volume) }
    }

    /// Throws when no address worked; answers why those before did not.
    private func login(_ volume: RemoteVolume) async throws(DeviceError) -> [String] {
        guard try await blockingDevice(on: .remote, { try sessions(volume).isEmpty }) else { return [] }
        var failures: [DeviceError] = []
        for address in volume.addresses {
            do throws(DeviceError) {
                let resolved = try await blockingDevice(on: .remote) { try address.resolved() }
                try await program.makeRecord(volume.name, at: resolved, volume.timeouts)
                try await program.login(volume.name, at: resolved)
                return failures.map(\.message)
            } catch {
                logger.debug("no session", metadata: ["with": "\(volume.name)", "error": "\(error)"])
                failures.append(DeviceError(error.code, "\(address): \(error.message)"))
            }
        }
        let reasons = failures.map(\.message).joined(separator: "; ")
        throw DeviceError(
            failures.first?.code ?? .unavailable, "volume \(volume.id): \(volume.name) is not reached: \(reasons)")
    }

    package func device(_ volume: RemoteVolume) throws(DeviceError) -> String? {
        do throws(HostError) {
            for session in try sessions(volume) {
                if let disk = try tree.disk(of: session, lun: volume.lun) { return "/dev/\(disk.name)" }
            }
            return nil
        } catch {
            throw DeviceError(error)
        }
    }

    package func isConnected(_ volume: RemoteVolume, as host: HostIdentity?) throws(DeviceError) -> Bool {
        do throws(HostError) {
            return try !sessions(volume).isEmpty
        } catch {
            throw DeviceError(error)
        }
    }

    package func siblings(_ volume: RemoteVolume) throws(DeviceError) -> [String] {
        do throws(HostError) {
            var paths: [String] = []
            for session in try sessions(volume) {
                let own = try tree.disk(of: session, lun: volume.lun)
                paths += try tree.disks(of: session).filter { $0 != own }.map { "/dev/\($0.name)" }
            }
            return paths
        } catch {
            throw DeviceError(error)
        }
    }

    /// A session that was lost comes back by itself.
    package func restore(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String] { [] }

    package func rescan(_ volume: RemoteVolume) async throws(DeviceError) {
        try await blockingDevice(on: .remote) {
            for session in try sessions(volume) where session.isLoggedIn {
                guard let disk = try tree.disk(of: session, lun: volume.lun) else { continue }
                try KernelFile.write(
                    "1", to: "\(tree.root)/block/\(disk.name)/device/rescan", "look at /dev/\(disk.name) anew")
            }
        }
    }

    package func disconnect(_ volume: RemoteVolume, as host: HostIdentity?) async throws(DeviceError) {
        for session in try await blockingDevice(on: .remote, { try sessions(volume) }) {
            try await program.logout(session)
        }
        try await program.removeRecords(volume.name)
        let isGone = try await BlockingLane.remote.wait(atMost: limit) { try sessions(volume).isEmpty }
        guard !isGone else { return }
        throw DeviceError(
            .unavailable, "volume \(volume.id): the session with \(volume.name) is still there after \(limit)")
    }

    private func sessions(_ volume: RemoteVolume) throws(HostError) -> [ISCSITree.Session] {
        try tree.sessions(of: volume.name)
    }

    private func missing(_ volume: RemoteVolume) throws -> DeviceError {
        let sessions = try sessions(volume)
        guard let session = sessions.first(where: \.isLoggedIn) else {
            let states = sessions.map(\.state).joined(separator: ", ")
            return DeviceError(
                .unavailable, "volume \(volume.id): the session with \(volume.name) does not work: \(states)")
        }
        let found = try tree.disks(of: session).map { "LUN \($0.lun) \($0.name)" }.joined(separator: ", ")
        let wanted = volume.lun.map { "LUN \($0)" } ?? "a disk that is the only one, or LUN 0,"
        return DeviceError(
            .notFound,
            "volume \(volume.id): \(volume.name) does not show \(wanted) with a node in /dev; it has "
                + (found.isEmpty ? "no disk" : found))
    }
}
