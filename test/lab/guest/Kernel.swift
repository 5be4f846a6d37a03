import FoundationEssentials
import Glibc

/// What the kernel says, asked without any code of the driver.
enum Kernel {
    struct Mount: Equatable {
        let source, point, type: String
        let options: [String]

        /// As ext4 prints it: dax=always; older kernels and xfs: dax.
        var isDirect: Bool { options.contains("dax") || options.contains("dax=always") }
        var isReadOnly: Bool { options.contains("ro") }
    }

    static func mounts(at path: String) throws -> [Mount] {
        try mounts().filter { $0.point == path }
    }

    static func mounts() throws -> [Mount] {
        try read("/proc/mounts").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 4 else { return nil }
            return Mount(
                source: words[0], point: words[1], type: words[2],
                options: words[3].split(separator: ",").map(String.init))
        }
    }

    /// Files of /proc and /sys have no size: read until the end.
    static func read(_ path: String) throws -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", path) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(file, &piece, piece.count)
            guard count >= 0 else { throw failure("read", path) }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += piece[..<count]
        }
    }

    static func write(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure("create", path) }
        defer { close(file) }
        let count = text.withCString { Glibc.write(file, $0, strlen($0)) }
        guard count == text.utf8.count, fsync(file) == 0 else { throw failure("write", path) }
    }

    static func makeDirectories(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    /// Names of the device-mapper devices, in the kernel's spelling.
    static func mappedDevices() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/sys/block").filter { $0.hasPrefix("dm-") }
            .map { try read("/sys/block/\($0)/dm/name").filter { !$0.isNewline } }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Bytes that a file system offers.
    static func size(ofFileSystemAt path: String) throws -> UInt64 {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { throw failure("statvfs", path) }
        return UInt64(facts.f_blocks) * UInt64(facts.f_frsize)
    }

    static func blockSize(ofFileSystemAt path: String) throws -> Int {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { throw failure("statvfs", path) }
        return Int(facts.f_bsize)
    }

    /// Fills a device with a byte.
    static func fill(_ device: String, with byte: UInt8) throws {
        let file = open(device, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", device) }
        defer { close(file) }
        let piece = [UInt8](repeating: byte, count: 4 << 20)
        while true {
            let count = Glibc.write(file, piece, piece.count)
            if count < 0 && errno == ENOSPC || count == 0 { break }
            guard count > 0 else { throw failure("write", device) }
        }
        guard fsync(file) == 0 else { throw failure("sync", device) }
    }

    /// How many of the device's MiB hold anything but zeroes.
    static func mebibytesInUse(_ device: String) throws -> Int {
        let file = open(device, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", device) }
        defer { close(file) }
        let zeroes = [UInt8](repeating: 0, count: 1 << 20)
        var piece = zeroes
        var used = 0
        while true {
            let count = Glibc.read(file, &piece, piece.count)
            guard count >= 0 else { throw failure("read", device) }
            if count == 0 { return used }
            if memcmp(piece, zeroes, count) != 0 { used += 1 }
        }
    }

    static func isZero(_ device: String, _ offset: UInt64, _ count: UInt64) throws -> Bool {
        let file = open(device, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", device) }
        defer { close(file) }
        var piece = [UInt8](repeating: 1, count: Int(count))
        guard pread(file, &piece, piece.count, off_t(offset)) == piece.count else { throw failure("read", device) }
        return piece.allSatisfy { $0 == 0 }
    }

    static func failure(_ verb: String, _ path: String) -> Failure {
        Failure("cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
