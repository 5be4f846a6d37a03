import Host
package import Logging

/// NVMe/TCP and NVMe/RDMA by the kernel's own initiator: options written to /dev/nvme-fabrics, everything else read in
/// /sys. No library and no program is needed for it.
package struct NVMeInitiator: Initiator {
    let tree: NVMeTree
    let fabrics: String
    let devices: String
    /// Until the device of a connection is there, or gone.
    let limit: Duration
    let logger: Logger

    package init(logger: Logger) {
        self.init(tree: NVMeTree(), limit: .seconds(20), logger: logger)
    }

    init(
        tree: NVMeTree, fabrics: String = "/dev/nvme-fabrics", devices: String = "/dev", limit: Duration,
        logger: Logger
    ) {
        self.tree = tree
        self.fabrics = fabrics
        self.devices = devices
        self.limit = limit
        self.logger = logger
    }

    package func connect(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String] {
        try await waitForEnding(volume, as: host)
        let failures = try await connectMissing(volume, as: host)
        try await waitForDevice(volume, failures)
        return failures
    }

    package func device(_ volume: RemoteVolume) throws(DeviceError) -> String? {
        try translated { () throws(HostError) in try namespace(of: volume) }.map { "\(devices)/\($0.name)" }
    }

    package func isConnected(_ volume: RemoteVolume, as host: HostIdentity?) throws(DeviceError) -> Bool {
        try translated { () throws(HostError) in try !controllers(volume, host).isEmpty }
    }

    package func siblings(_ volume: RemoteVolume) throws(DeviceError) -> [String] {
        try translated { () throws(HostError) in
            let own = try namespace(of: volume)
            return try tree.namespaces(of: volume.name).filter { $0 != own }.map { "\(devices)/\($0.name)" }
        }
    }

    /// Without multipath the one path is the device, which would come back as another.
    package func restore(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String] {
        let isPossible = try await blockingDevice(on: .remote) {
            try tree.hasMultipath() && !controllers(volume, host).isEmpty
        }
        return isPossible ? try await connectMissing(volume, as: host) : []
    }

    package func rescan(_ volume: RemoteVolume) async throws(DeviceError) {
        try await blockingDevice(on: .remote) {
            for controller in try tree.controllers(of: volume.name) where controller.isLive {
                let path = "\(tree.root)/class/nvme/\(controller.name)/rescan_controller"
                try KernelFile.write("1", to: path, "look at \(controller.name) anew")
            }
        }
    }

    private func controllers(
        _ volume: RemoteVolume, _ host: HostIdentity?
    ) throws(HostError) -> [NVMeTree.Controller] {
        try tree.controllers(of: volume.name).filter { host == nil || $0.hostNQN == host?.nqn }
    }

    /// The one with the volume's UUID; where that is not known, the only one that the subsystem has.
    private func namespace(of volume: RemoteVolume) throws(HostError) -> NVMeTree.Namespace? {
        let all = try tree.namespaces(of: volume.name)
        guard let uuid = volume.uuid else { return all.count == 1 ? all[0] : nil }
        return all.first { $0.uuid == uuid }
    }

    private func translated<R>(_ body: () throws(HostError) -> R) throws(DeviceError) -> R {
        do {
            return try body()
        } catch {
            throw DeviceError(error)
        }
    }
}

// Connecting.
extension NVMeInitiator {
    /// The kernel refuses a second connection while the first is on its way out.
    private func waitForEnding(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) {
        let isOver = try await BlockingLane.remote.wait(atMost: limit) {
            try controllers(volume, host).allSatisfy { !$0.isEnding }
        }
        guard !isOver else { return }
        throw DeviceError(.unavailable, "volume \(volume.id): an earlier connection to \(volume.name) does not end")
    }

    private func connectMissing(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String] {
        let (present, isMultipath) = try await blockingDevice(on: .remote) {
            (Set(try controllers(volume, host).compactMap(\.address)), try tree.hasMultipath())
        }
        // Without multipath every connection would be a block device of its own, with the same content.
        let answers =
            isMultipath
            ? await connectAll(volume, as: host, except: present)
            : present.isEmpty ? await connectFirst(volume, as: host) : [nil]
        let failures = answers.compactMap(\.self)
        guard failures.count == answers.count, present.isEmpty, let first = failures.first else {
            return failures.map(\.description)
        }
        let reasons = failures.map(\.description).joined(separator: "; ")
        throw DeviceError(first.code, "volume \(volume.id): \(volume.name) is not reached: \(reasons)")
    }

    private func connectAll(
        _ volume: RemoteVolume, as host: HostIdentity, except present: Set<TargetAddress>
    ) async -> [DeviceError?] {
        await withTaskGroup(of: DeviceError?.self) { group in
            for address in volume.addresses {
                group.addTask { await connect(volume, as: host, at: address, except: present) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    private func connectFirst(_ volume: RemoteVolume, as host: HostIdentity) async -> [DeviceError?] {
        var answers: [DeviceError?] = []
        for address in volume.addresses {
            answers.append(await connect(volume, as: host, at: address, except: []))
            if case .some(nil) = answers.last { break }
        }
        return answers
    }

    /// Nil when it is connected.
    private func connect(
        _ volume: RemoteVolume, as host: HostIdentity, at address: TargetAddress, except present: Set<TargetAddress>
    ) async -> DeviceError? {
        do throws(DeviceError) {
            try await blockingDevice(on: .remote) {
                let address = try address.resolved()
                guard !present.contains(address) else { return }
                let options = FabricsOptions(
                    transport: volume.transport, address: address, nqn: volume.name, host: host,
                    timeouts: volume.timeouts)
                try write(options, address)
            }
            return nil
        } catch {
            return DeviceError(error.code, "\(address): \(error.message)")
        }
    }

    private func write(_ options: FabricsOptions, _ address: TargetAddress) throws {
        do throws(HostError) {
            let answer = try KernelFile.ask(options.text, of: fabrics, "connect to \(options.nqn)")
            logger.debug("connected", metadata: ["to": "\(options.nqn) at \(address)", "as": "\(answer)"])
        } catch {
            // EALREADY: the same connection exists.
            guard error.errno != 114 else { return }
            throw failure(error, options.transport)
        }
    }

    private func failure(_ error: HostError, _ transport: RemoteVolume.Transport) -> DeviceError {
        let module = "nvme-\(transport.rawValue)"
        switch error.errno {
        // No such file: the module of /dev/nvme-fabrics. EINVAL of the kernel: no handler for the transport.
        case 2, 6, 19:
            return DeviceError(
                .failedPrecondition,
                "\(fabrics) is missing; load the kernel module \(module) on this node (modprobe "
                    + "\(module)), and give the driver's container the host's /dev", cause: error)
        case 22:
            return DeviceError(
                .failedPrecondition,
                "the kernel takes no connection like that; is the module \(module) loaded? "
                    + "Its log (dmesg) tells more", cause: error)
        default:
            return DeviceError(
                .unavailable,
                "\(error.message); is the target up, the volume exported, and this node's host NQN allowed "
                    + "there? The kernel's log (dmesg) tells more", cause: error)
        }
    }

    /// With a path that works: on one without, reading would wait for as long as the kernel tries.
    private func waitForDevice(_ volume: RemoteVolume, _ failures: [String]) async throws(DeviceError) {
        let isThere = try await BlockingLane.remote.wait(atMost: limit) {
            guard let name = try namespace(of: volume)?.name else { return false }
            return try tree.controllers(of: volume.name).contains(where: \.isLive)
                && BlockDevice(path: "\(devices)/\(name)").isPresent()
        }
        guard !isThere else { return }
        throw try await blockingDevice(on: .remote) { try missing(volume, failures) }
    }

    private func missing(_ volume: RemoteVolume, _ failures: [String]) throws -> DeviceError {
        let controllers = try tree.controllers(of: volume.name)
        let paths = controllers.map { "\($0.address?.description ?? $0.name) is \($0.state)" } + failures
        let namespaces = try tree.namespaces(of: volume.name)
        guard controllers.contains(where: \.isLive) else {
            return DeviceError(
                .unavailable, "volume \(volume.id): no path to \(volume.name) works: \(paths.joined(separator: "; "))")
        }
        if let found = try namespace(of: volume) {
            return DeviceError(
                .failedPrecondition,
                "volume \(volume.id): the kernel has \(found.name), but \(devices)/\(found.name) is "
                    + "not there; give the driver's container the host's /dev")
        }
        let wanted = volume.uuid.map { "with UUID \($0)" } ?? "of its own"
        let found = namespaces.map { "\($0.name) \($0.uuid)" }.joined(separator: ", ")
        return DeviceError(
            .notFound,
            "volume \(volume.id): \(volume.name) has no namespace \(wanted); it has "
                + (found.isEmpty ? "none" : found))
    }
}

// Disconnecting.
extension NVMeInitiator {
    package func disconnect(_ volume: RemoteVolume, as host: HostIdentity?) async throws(DeviceError) {
        try await blockingDevice(on: .remote) {
            for controller in try controllers(volume, host) where !controller.isEnding {
                let path = "\(tree.root)/class/nvme/\(controller.name)/delete_controller"
                do throws(HostError) {
                    try KernelFile.write("1", to: path, "disconnect \(controller.name) from \(volume.name)")
                } catch {
                    // It went away by itself.
                    guard error.code != .notFound else { continue }
                    throw error
                }
            }
        }
        let isGone = try await BlockingLane.remote.wait(atMost: limit) {
            guard try controllers(volume, host).isEmpty else { return false }
            // Somebody else's connection to the same subsystem keeps its devices.
            return try !tree.controllers(of: volume.name).isEmpty || tree.namespaces(of: volume.name).isEmpty
        }
        guard !isGone else { return }
        throw DeviceError(
            .unavailable,
            "volume \(volume.id): \(volume.name) is still connected after \(limit), or a process keeps its device open; "
                + "the next call goes on")
    }
}

extension BlockDevice {
    /// Whether the node is there; devtmpfs makes it a moment after the device.
    fileprivate func isPresent() -> Bool { (try? number()) != nil }
}
