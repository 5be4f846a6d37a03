import Host
import Synchronization

/// What the files of volumes may take: every byte that is promised to a volume is there when it is written.
///
/// Owned by the manager, whose changes alone it follows; it looks at the directories again before it refuses anything.
/// Its methods block.
final class FileLedger: Sendable {
    private struct Entry {
        var size: UInt64
        let provisioning: Provisioning
        /// Made or enlarged at the moment: its file does not have the size yet.
        var isUnfinished = true
    }

    private struct State {
        var entries: [VolumeID: Entry] = [:]
        /// Whether blocks may be shared, so that a file's blocks are not all its own.
        var hasSharing = false
    }

    private let store: FileStore
    private let limit: UInt64?
    private let state = Mutex(State())

    /// `limit` bounds the sum of all sizes; nil: the size of the file system.
    init(store: FileStore, limit: UInt64?) {
        self.store = store
        self.limit = limit
    }

    var hasSharing: Bool { state.withLock(\.hasSharing) }

    func load(hasSharing: Bool) throws {
        try state.withLock { state in
            state.hasSharing = hasSharing
            try reload(&state)
        }
    }

    func capacity() throws -> Capacity {
        try state.withLock { state in
            try reload(&state)
            return try capacity(state)
        }
    }

    /// Throws `notEnoughSpace` unless there is room for this many bytes more.
    func checkRoom(for size: UInt64, _ id: VolumeID) throws {
        try state.withLock { state in try checkRoom(for: size, id, &state) }
    }

    /// Takes the room for a volume that is to be made; `finish` or `forget` follows.
    func reserve(_ id: VolumeID, size: UInt64, _ provisioning: Provisioning) throws {
        try state.withLock { state in
            // What was promised to it is taken now.
            let promised = state.entries.removeValue(forKey: id)
            do {
                try checkRoom(for: size, id, &state)
            } catch {
                state.entries[id] = promised
                throw error
            }
            state.entries[id] = Entry(size: size, provisioning: provisioning)
        }
    }

    func finish(_ id: VolumeID, size: UInt64) {
        state.withLock { state in
            state.entries[id]?.size = size
            state.entries[id]?.isUnfinished = false
        }
    }

    func forget(_ id: VolumeID) { state.withLock { $0.entries[id] = nil } }

    /// Takes the room for a volume that is to grow; `finish` follows, with the old size where that failed.
    func grow(_ id: VolumeID, from oldSize: UInt64, to size: UInt64) throws {
        try state.withLock { state in
            try checkRoom(for: size - oldSize, id, &state)
            state.entries[id]?.size = size
            state.entries[id]?.isUnfinished = true
        }
    }
}

extension FileLedger {
    private func checkRoom(for size: UInt64, _ id: VolumeID, _ state: inout State) throws {
        if try isPlenty(for: size, state) { return }
        if try capacity(state).available >= size { return }
        // Somebody may have removed a file.
        try reload(&state)
        let available = try capacity(state).available
        guard available < size else { return }
        throw DeviceError(
            .notEnoughSpace,
            "volume \(id): \(size) bytes more asked for, \(available) free below \(store.root); delete volumes or "
                + "snapshots there, or raise -capacity if that is what bounds it")
    }

    /// Whether there is room even if no volume has any of its blocks yet: no file need be looked at then.
    private func isPlenty(for size: UInt64, _ state: State) throws -> Bool {
        let space = try Filesystem.usage(at: store.root).bytes
        let needed = Self.sum(state.entries.values.map(\.size) + [size])
        return needed <= min(limit ?? space.total, Self.usable(space))
    }

    /// Without what the file system needs itself to keep track of so many blocks.
    private static func usable(_ space: Filesystem.Usage.Amount) -> UInt64 {
        space.available - space.available / 256
    }

    private func capacity(_ state: State) throws -> Capacity {
        let space = try Filesystem.usage(at: store.root).bytes
        let used = Self.sum(state.entries.values.map(\.size))
        let promised = Self.sum(try state.entries.map { id, entry in try missing(id, entry, state) })
        let total = limit ?? space.total
        let free = Self.usable(space)
        let available = min(total - min(total, used), free - min(free, promised))
        var capacity = Capacity()
        capacity.available = available / FileStore.unit * FileStore.unit
        capacity.maximumVolumeSize = capacity.available
        capacity.minimumVolumeSize = FileStore.unit
        capacity.total = total
        return capacity
    }

    /// Bytes that the volume may still ask of the file system.
    ///
    /// Thick ones too: a file system in the volume may have given blocks back.
    private func missing(_ id: VolumeID, _ entry: Entry, _ state: State) throws -> UInt64 {
        let files = [store.file(id, entry.provisioning), store.newFile(id, entry.provisioning)]
        for file in files {
            guard let status = try file.status() else { continue }
            let mayShare = state.hasSharing && (entry.isUnfinished || entry.provisioning == .thin)
            let own = mayShare && status.allocated > 0 ? try exclusiveBytes(file) : status.allocated
            return entry.size - min(entry.size, own)
        }
        return entry.size
    }

    /// A file that was renamed or removed meanwhile has none.
    private func exclusiveBytes(_ file: BackingFile) throws -> UInt64 {
        do {
            return try file.exclusiveBytes()
        } catch {
            guard error.code == .notFound else { throw error }
            return 0
        }
    }

    private func reload(_ state: inout State) throws {
        var entries = state.entries.filter { $0.value.isUnfinished }
        for volume in try store.volumes() {
            guard let provisioning = Provisioning(rawValue: volume.location), entries[volume.id] == nil else {
                continue
            }
            entries[volume.id] = Entry(size: volume.size, provisioning: provisioning, isUnfinished: false)
        }
        state.entries = entries
    }

    private static func sum(_ sizes: [UInt64]) -> UInt64 {
        sizes.reduce(0) { sum, size in
            let (result, overflow) = sum.addingReportingOverflow(size)
            return overflow ? .max : result
        }
    }
}
