import Host
import Logging
import Synchronization

/// The loop devices that show files of volumes. The kernel knows them; what is kept here only saves looking at all of
/// them. Owned by the manager; its methods block.
final class FileLoops: Sendable {
    private let hints = Mutex<[VolumeID: LoopAttachment]>([:])

    /// The device that shows the file of the volume; nil when none does.
    func find(_ id: VolumeID, _ file: BackingFile, _ identity: BackingFile.Identity) throws -> LoopAttachment? {
        if let hint = hints.withLock({ $0[id] }), try hint.identity() == identity { return hint }
        let found = try LoopAttachment.showing(file, identity).first
        hints.withLock { $0[id] = found }
        return found
    }

    /// Attaches the file, unless it is attached already.
    func attach(_ id: VolumeID, _ file: BackingFile, _ status: BackingFile.Status) throws -> String {
        if let loop = try find(id, file, status.identity), try loop.adopt(status.identity) {
            if try BlockDevice(path: loop.path).size() != status.size { try loop.updateSize() }
            return loop.path
        }
        let loop = try LoopAttachment.attach(file)
        hints.withLock { $0[id] = loop }
        return loop.path
    }

    /// Detaches the file if nothing uses its device, somebody else's second attachment of it included. With `whenClosed` the
    /// kernel does it as soon as nothing does, the mounts of other mount namespaces included.
    func release(
        _ id: VolumeID, _ file: BackingFile, _ identity: BackingFile.Identity, whenClosed: Bool = false
    ) throws -> DeviceUse {
        for loop in try LoopAttachment.showing(file, identity) {
            if try !whenClosed && loop.isMounted() { return .mounted }
            guard try loop.release(identity, whenClosed: whenClosed) else { return .open }
        }
        hints.withLock { $0[id] = nil }
        return .unused
    }

    /// Detaches what an earlier life of the driver attached and nothing uses; `files` are those of all volumes, a
    /// deleted one is known by its path in `directories`.
    func clean(_ files: [BackingFile.Identity: VolumeID], directories: [String], _ logger: Logger) throws {
        for listed in try LoopAttachment.all() {
            guard let identity = try listed.loop.identity() else { continue }
            let isOursDeleted = listed.isDeleted && directories.contains { listed.file.hasPrefix($0 + "/") }
            guard files[identity] != nil || isOursDeleted else { continue }
            let metadata: Logger.Metadata = ["device": "\(listed.loop.path)", "file": "\(listed.file)"]
            let isMounted = try listed.loop.isMounted()
            if try !isMounted && listed.loop.release(identity) {
                logger.info("detached a loop device that an earlier run had left", metadata: metadata)
                continue
            }
            logger.info("a loop device is still in use", metadata: metadata)
            if let id = files[identity] { hints.withLock { $0[id] = listed.loop } }
        }
    }
}

extension LoopAttachment {
    /// Mounted, part of another device, or a raw block volume.
    fileprivate func isMounted() throws -> Bool {
        let device = BlockDevice(path: path)
        do {
            try device.checkNotInUse()
        } catch {
            guard error.code == .busy else { throw error }
            return true
        }
        return try MountTable.isMountedAnywhere(device.number())
    }
}
