import Host

/// Where the files of volumes lie: one directory for each kind of provisioning, whose name is the volumes' location.
///
/// A file that is being made has another name until it is whole. Its methods block.
struct FileStore: Sendable {
    /// Sizes are multiples of it: 1 MiB.
    static let unit: UInt64 = 1 << 20
    private static let newSuffix = ".new"

    let root: String

    func directory(_ provisioning: Provisioning) -> BackingDirectory {
        BackingDirectory(path: "\(root)/\(provisioning.rawValue)")
    }

    func file(_ id: VolumeID, _ provisioning: Provisioning) -> BackingFile {
        directory(provisioning).file(id.rawValue)
    }

    /// The name of a file that is being made.
    func newFile(_ id: VolumeID, _ provisioning: Provisioning) -> BackingFile {
        directory(provisioning).file(id.rawValue + Self.newSuffix)
    }

    /// Nothing else is a location; above all no path.
    static func provisioning(_ location: String, of id: VolumeID) throws(DeviceError) -> Provisioning {
        guard let provisioning = Provisioning(rawValue: location) else {
            throw DeviceError(
                .failedPrecondition,
                "volume \(id): its location \"\(location)\" is not thick or thin, so it is not made of a file of ours")
        }
        return provisioning
    }

    /// Makes the directories and removes what creations left that were cut off; returns their number.
    func prepare() throws -> Int {
        var removed = 0
        for provisioning in Provisioning.allCases {
            let directory = directory(provisioning)
            try directory.create()
            for name in try directory.names() where name.hasSuffix(Self.newSuffix) {
                try directory.file(name).remove()
                removed += 1
            }
            try directory.flush()
        }
        try BackingDirectory(path: root).flush()
        return removed
    }

    /// Whether files can share blocks here.
    func tryingSharing() throws -> Bool {
        let file = directory(.thin).file("sharing" + Self.newSuffix)
        let result = Result { try file.tryingSharing() }
        try file.remove()
        return try result.get()
    }

    func volumes() throws -> [Volume] {
        try Provisioning.allCases.flatMap { provisioning in
            try directory(provisioning).names().compactMap { VolumeID($0) }.compactMap { id in
                try volume(id, provisioning)
            }
        }
    }

    func volume(_ id: VolumeID, _ provisioning: Provisioning) throws -> Volume? {
        try file(id, provisioning).status().map { Volume(id: id, size: $0.size, location: provisioning.rawValue) }
    }

    /// Gives the file its name, durably.
    func finish(_ id: VolumeID, _ provisioning: Provisioning) throws {
        let file = file(id, provisioning)
        let directory = directory(provisioning)
        // Renamed first, so that one flush is enough where the file system writes both. Without the record `ready`
        // nobody takes the file for whole.
        try newFile(id, provisioning).rename(to: file)
        try file.flush()
        if try !directory.flushesNamesWithFiles() { try directory.flush() }
    }

    func remove(_ id: VolumeID, _ provisioning: Provisioning) throws {
        try newFile(id, provisioning).remove()
        try file(id, provisioning).remove()
        try directory(provisioning).flush()
    }
}
