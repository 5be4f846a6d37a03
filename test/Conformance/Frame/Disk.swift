import FoundationEssentials
import Glibc

/// What the kernel says, asked without any code of a driver's.
enum Disk {
    struct Mount: Hashable, Sendable {
        let point, type, source: String
        let isReadOnly: Bool
    }

    static func mounts() throws -> [Mount] {
        try text("/proc/self/mountinfo").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard words.count > 9, let dash = words.firstIndex(of: "-"), words.count > dash + 2 else { return nil }
            return Mount(
                point: words[4], type: words[dash + 1], source: words[dash + 2],
                isReadOnly: words[5].split(separator: ",").contains("ro"))
        }
    }

    static func mount(at path: String) throws -> Mount? { try mounts().last { $0.point == path } }

    static func mounts(below directory: String) throws -> [Mount] {
        try mounts().filter { $0.point == directory || $0.point.hasPrefix(directory + "/") }
    }

    static func exists(_ path: String) -> Bool {
        var facts = stat()
        return lstat(path, &facts) == 0
    }

    static func isBlockDevice(_ path: String) -> Bool {
        var facts = stat()
        return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFBLK
    }

    static func makeDirectory(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    /// Growing a mounted ext4 needs CAP_SYS_RESOURCE, which some containers lack; no driver can help that.
    static func canGrow(_ type: String) -> Bool {
        guard type == "ext4", let status = try? text("/proc/self/status"),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
            let capabilities = UInt64(line.dropFirst(7).filter { !$0.isWhitespace }, radix: 16)
        else { return true }
        return capabilities & 1 << 24 != 0
    }

    /// For what a driver left behind: the next check needs the place.
    static func unmount(_ path: String) { umount2(path, Int32(MNT_DETACH)) }

    /// Removes a tree in which nothing is mounted.
    static func remove(_ path: String) throws {
        let mounts = try mounts(below: path)
        try require(mounts.isEmpty, "still mounted: \(mounts.map(\.point).joined(separator: ", "))")
        if exists(path) { try FileManager.default.removeItem(atPath: path) }
    }

    /// A file name for any id.
    static func fileName(_ id: String) -> String {
        String(
            id.unicodeScalars.map {
                $0.isASCII && ($0.properties.isAlphabetic || $0 == "-" || ("0"..."9") ~= $0) ? Character($0) : "_"
            }.prefix(100))
    }

    /// Bytes of the file system that is mounted at a path.
    static func fileSystem(_ path: String) throws -> (size: Int64, free: Int64) {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { throw failure("statvfs", path) }
        return (Int64(facts.f_blocks * facts.f_frsize), Int64(facts.f_bfree * facts.f_frsize))
    }

    /// Bytes of a file or of a block device.
    static func size(_ path: String) throws -> Int64 {
        try opened(path, O_RDONLY) { file in Int64(lseek(file, 0, SEEK_END)) }
    }

    static func text(_ path: String) throws -> String {
        try opened(path, O_RDONLY) { file in
            var bytes: [UInt8] = []
            var piece = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = Glibc.read(file, &piece, piece.count)
                guard count >= 0 else { throw failure("read", path) }
                if count == 0 { return String(decoding: bytes, as: UTF8.self) }
                bytes += piece[..<count]
            }
        }
    }

    static func opened<Result>(_ path: String, _ flags: Int32, _ body: (Int32) throws -> Result) throws -> Result {
        let file = open(path, flags | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure("open", path) }
        defer { close(file) }
        return try body(file)
    }

    static func failure(_ verb: String, _ path: String) -> Failure {
        Failure("cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
