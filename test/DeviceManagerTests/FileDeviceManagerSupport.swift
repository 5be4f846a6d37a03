import DeviceManager
import Glibc
import Host
import Logging
import TestSupport

let mebibyte: UInt64 = 1 << 20

/// A file device manager on a file system of its own, and the places that belong to it; a test owns it.
struct FileDriver: Sendable {
    let manager: FileDeviceManager
    /// On the same file system as the volumes.
    let directory: String
    let capacity: UInt64?

    /// The same machine after the driver was killed and started again.
    func restarted() async throws -> FileDriver {
        let next = FileDriver(
            manager: FileDeviceManager(directory: directory, capacity: capacity, logger: quietLogger),
            directory: directory, capacity: capacity)
        try await next.manager.start()
        return next
    }

    func create(
        _ name: String, _ size: UInt64, _ provisioning: Provisioning = .thick
    ) async throws(DeviceError) -> Volume {
        let spec = spec(name, size, provisioning)
        return try await manager.create(spec, at: try await manager.place(spec))
    }

    func spec(_ name: String, _ size: UInt64, _ provisioning: Provisioning = .thick) -> VolumeSpec {
        var parameters = manager.defaultParameters
        parameters.provisioning = provisioning
        return VolumeSpec(
            id: id(name), name: name, size: SizeRange(required: size), parameters: parameters)
    }

    func id(_ name: String) -> VolumeID { VolumeID(name: name, node: "node") }

    func copy(
        _ source: Volume, to name: String, size: UInt64? = nil, use: CopySource.Use = .none,
        progress: @escaping @Sendable (UInt64) -> Bool = { _ in true }
    ) async throws(DeviceError) -> Volume {
        let provisioning = Provisioning(rawValue: source.location) ?? .thick
        let spec = spec(name, size ?? source.size, provisioning)
        let source = CopySource(volume: source, parameters: spec.parameters, use: use)
        return try await manager.copy(source, to: spec, at: try await manager.place(spec), progress: progress)
    }

    func attach(_ volume: Volume) async throws(DeviceError) -> String {
        try await manager.attach(volume.id, location: volume.location)
    }

    func device(_ volume: Volume) async throws(DeviceError) -> String? {
        try await manager.device(volume.id, location: volume.location)
    }

    func file(_ volume: Volume) -> BackingFile {
        BackingFile(path: "\(directory)/\(volume.location)/\(volume.id)")
    }

    func available() async throws(DeviceError) -> UInt64 {
        try await manager.capacity(for: manager.defaultParameters).available
    }

    /// Every file below the directory.
    func files() throws -> [String] {
        try Provisioning.allCases.flatMap { try BackingDirectory(path: "\(directory)/\($0.rawValue)").names() }
    }

    /// Formats the volume's device and mounts it in a new directory, whose path it returns.
    func mount(_ volume: Volume, in parent: String, _ type: FilesystemType = .ext4) async throws -> String {
        let device = BlockDevice(path: try await attach(volume))
        try await Filesystem.make(type, on: device)
        return try mountPoint(device.path, in: parent, type)
    }
}

/// Mounts a device in a new directory.
func mountPoint(
    _ device: String, in parent: String, _ type: FilesystemType = .ext4, readOnly: Bool = false, options: [String] = []
) throws -> String {
    let path = "\(parent)/mount-\(device.split(separator: "/").last ?? "")"
    try Mounter.createMountPoint(directory: path)
    try Mounter.mount(device: device, at: path, type: type, options: options, readOnly: readOnly)
    return path
}

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

enum Ground: Sendable, CaseIterable {
    /// The file system of this machine.
    case here
    case smallExt4
    /// Files can share blocks there.
    case xfsWithReflinks
}

/// Passes a driver, and a directory for mounts that lies elsewhere. No loop device is left.
func withFileDriver<R>(
    on ground: Ground = .here, capacity: UInt64? = nil, _ body: (FileDriver, String) async throws -> R
) async throws -> R {
    try await withDirectory { directory in
        let medium = ground == .here ? nil : try LoopDevice(size: ground == .smallExt4 ? 96 << 20 : 640 << 20)
        defer { withExtendedLifetime(medium) {} }
        var root = directory
        if let medium {
            let type: FilesystemType = ground == .smallExt4 ? .ext4 : .xfs
            if ground == .smallExt4 {
                try await Filesystem.make(.ext4, on: BlockDevice(path: medium.path))
            } else {
                try check(run("/usr/sbin/mkfs.xfs", ["-q", "-m", "reflink=1", medium.path]) == 0, "mkfs.xfs")
            }
            root = try mountPoint(medium.path, in: directory, type)
        }
        let state = "\(root)/state"
        try Mounter.createMountPoint(directory: state)
        defer { detachAll(below: state) }
        let driver = FileDriver(
            manager: FileDeviceManager(directory: state, capacity: capacity, logger: quietLogger), directory: state,
            capacity: capacity)
        try await driver.manager.start()
        return try await body(driver, directory)
    }
}

/// What is mounted goes with its mount.
private func detachAll(below directory: String) {
    for listed in (try? LoopAttachment.all()) ?? [] where listed.file.hasPrefix(directory + "/") {
        guard let identity = try? listed.loop.identity() else { continue }
        _ = try? listed.loop.release(identity, whenClosed: true)
    }
}

func loops(below directory: String) throws -> [String] {
    try LoopAttachment.all().filter { $0.file.hasPrefix(directory + "/") }.map(\.loop.path)
}

/// The exit status of a program whose output nobody needs.
func run(_ program: String, _ arguments: [String]) throws -> Int32 {
    var process: pid_t = 0
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let result = posix_spawn(&process, program, &actions, nil, &words, environ)
    guard result == 0 else { throw HostError(.failed, "run \(program)", errno: result) }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
}

func check(_ condition: Bool, _ what: String) throws {
    guard condition else { throw HostError(.failed, what) }
}

/// The code of the DeviceError that the body throws; nil when it throws none.
func deviceCode(of body: () async throws -> Void) async -> DeviceError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? DeviceError)?.code
    }
}
