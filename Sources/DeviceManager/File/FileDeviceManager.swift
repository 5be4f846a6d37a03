import Host
package import Logging

/// Volumes as files in a directory, attached as loop devices: for machines without persistent memory or LVM.
///
/// It keeps nothing in memory but the sizes that it promised: which files there are, and which loop device shows one, the
/// kernel is asked.
package final class FileDeviceManager: DeviceManager {
    let store: FileStore
    let ledger: FileLedger
    let loops = FileLoops()
    let logger: Logger

    /// `capacity` bounds the sum of all volumes' sizes; nil: the size of the file system below the directory.
    package init(directory: String, capacity: UInt64?, logger: Logger) {
        store = FileStore(root: directory)
        ledger = FileLedger(store: store, limit: capacity)
        self.logger = logger
    }

    package var defaultParameters: VolumeParameters { ManagerKind.file.defaultParameters }

    package func start() async throws(DeviceError) {
        try await blockingDevice { [self] in
            let removed = try store.prepare()
            if removed > 0 { logger.info("removed files that were not finished", metadata: ["files": "\(removed)"]) }
            let hasSharing = try store.tryingSharing()
            try ledger.load(hasSharing: hasSharing)
            var files: [BackingFile.Identity: VolumeID] = [:]
            for volume in try store.volumes() {
                let file = try self.file(volume.id, volume.location)
                if let identity = try file.status()?.identity { files[identity] = volume.id }
            }
            let directories = try Provisioning.allCases.map { try store.directory($0).resolved() }
            try loops.clean(files, directories: directories, logger)
            logger.info(
                "volumes are files",
                metadata: [
                    "directory": "\(store.root)", "volumes": "\(files.count)", "reflinks": "\(hasSharing)",
                ])
        }
    }

    package func capacity(for parameters: VolumeParameters) async throws(DeviceError) -> Capacity {
        try await blockingDevice { [ledger] in try ledger.capacity() }
    }

    package func place(_ spec: VolumeSpec) async throws(DeviceError) -> String {
        let size = try spec.size.size(multipleOf: FileStore.unit)
        try await blockingDevice { [ledger] in try ledger.checkRoom(for: size, spec.id) }
        return spec.parameters.provisioning.rawValue
    }

    package func volume(_ id: VolumeID, location: String?) async throws(DeviceError) -> Volume? {
        var places = Provisioning.allCases
        if let location { places = [try FileStore.provisioning(location, of: id)] }
        let found = try await blockingDevice { [store, places] in try places.compactMap { try store.volume(id, $0) } }
        guard found.count < 2 else {
            throw DeviceError(
                .failedPrecondition, "volume \(id) exists more than once: both thick and thin in \(store.root)")
        }
        return found.first
    }

    package func volumes() async throws(DeviceError) -> [Volume] {
        try await blockingDevice { [store] in try store.volumes().sorted { $0.id < $1.id } }
    }

    /// Nothing of the parameters is kept with the files.
    package func update(_ id: VolumeID, location: String, parameters: VolumeParameters) {}

    func file(_ id: VolumeID, _ location: String) throws(DeviceError) -> BackingFile {
        store.file(id, try FileStore.provisioning(location, of: id))
    }
}

// Creation and removal.
extension FileDeviceManager {
    /// In the ledger it is a volume that is being made.
    package func promise(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        let size = try spec.size.size(multipleOf: FileStore.unit)
        let provisioning = try FileStore.provisioning(location, of: spec.id)
        return try await blockingDevice { [ledger] in
            try ledger.reserve(spec.id, size: size, provisioning)
            return Volume(id: spec.id, size: size, location: location)
        }
    }

    package func release(_ id: VolumeID) { ledger.forget(id) }

    package func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        let size = try spec.size.size(multipleOf: FileStore.unit)
        let provisioning = try FileStore.provisioning(location, of: spec.id)
        return try await blockingDevice { [self] in
            try begin(spec.id, provisioning, size: size)
            do {
                try store.newFile(spec.id, provisioning).create(size: size, allocated: provisioning == .thick)
                return try finish(spec.id, provisioning, size: size)
            } catch {
                throw takenBack(spec.id, provisioning, after: error)
            }
        }
    }

    /// Takes the room; blocks.
    func begin(_ id: VolumeID, _ provisioning: Provisioning, size: UInt64) throws {
        for place in Provisioning.allCases where try store.volume(id, place) != nil {
            throw DeviceError(
                .alreadyExists, "volume \(id): \(store.file(id, place).path) exists, and no record explains it")
        }
        try ledger.reserve(id, size: size, provisioning)
    }

    /// Blocks.
    func finish(_ id: VolumeID, _ provisioning: Provisioning, size: UInt64) throws -> Volume {
        try store.finish(id, provisioning)
        ledger.finish(id, size: size)
        return Volume(id: id, size: size, location: provisioning.rawValue)
    }

    /// Leaves nothing of a creation that failed, and says why it did; blocks.
    func takenBack(_ id: VolumeID, _ provisioning: Provisioning, after error: any Error) -> any Error {
        do {
            try store.remove(id, provisioning)
            ledger.forget(id)
            return error
        } catch let second {
            return DeviceError(.failed, "\(error); and the file of volume \(id) could not be removed", cause: second)
        }
    }

    package func discard(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        try await delete(id, location: location, erasure: nil)
    }

    /// Nothing is overwritten: the file system never shows old blocks to a new file.
    package func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        let provisioning = try FileStore.provisioning(location, of: id)
        try await release(id, location)
        try await blockingDevice { [self] in
            try store.remove(id, provisioning)
            ledger.forget(id)
        }
    }
}

// Loop devices.
extension FileDeviceManager {
    package func attach(_ id: VolumeID, location: String) async throws(DeviceError) -> String {
        let file = try file(id, location)
        return try await blockingDevice { [self] in
            guard let status = try file.status() else {
                throw DeviceError(.unavailable, "volume \(id): its file \(file.path) is missing; bring it back")
            }
            let isThick = location == Provisioning.thick.rawValue
            if isThick && status.allocated < status.size { fillHoles(of: id, file, size: status.size) }
            return try loops.attach(id, file, status)
        }
    }

    /// The space is counted as the volume's anyway, so nobody else among our volumes takes it.
    private func fillHoles(of id: VolumeID, _ file: BackingFile, size: UInt64) {
        do {
            try file.fillHoles(size: size)
        } catch {
            logger.warning(
                "a thick volume has not all of its space", metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }

    package func device(_ id: VolumeID, location: String) async throws(DeviceError) -> String? {
        let file = try file(id, location)
        return try await blockingDevice { [loops] in
            guard let identity = try file.status()?.identity else { return nil }
            return try loops.find(id, file, identity)?.path
        }
    }

    /// While some process has it open, the kernel detaches it with the last close.
    package func detach(_ id: VolumeID, location: String) async throws(DeviceError) {
        let file = try file(id, location)
        try await blockingDevice { [loops] in
            guard let identity = try file.status()?.identity else { return }
            _ = try loops.release(id, file, identity, whenClosed: true)
        }
    }

    /// Detaches the device, which is the one way to know that nobody has it open; `attach` brings it back.
    package func checkUnused(_ id: VolumeID, location: String) async throws(DeviceError) {
        try await release(id, location)
    }

    private func release(_ id: VolumeID, _ location: String) async throws(DeviceError) {
        let file = try file(id, location)
        try await waitUntilUnused(id) { () throws(DeviceError) in
            try await blockingDevice { [loops] in
                guard let identity = try file.status()?.identity else { return .unused }
                return try loops.release(id, file, identity)
            }
        }
    }
}
