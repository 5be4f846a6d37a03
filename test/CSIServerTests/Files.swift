import FoundationEssentials
import Glibc
import Host

/// Tests of real mounts need root; without it they are reported as skipped.
let isRoot = getuid() == 0

struct SystemFailure: Error, CustomStringConvertible {
    let description: String
    let number: Int32

    init(_ operation: String) {
        number = errno
        description = "\(operation): \(String(cString: strerror(number)))"
    }
}

/// Passes the path of a new directory. Whatever is mounted in it and everything that lies there is gone afterwards,
/// also when the body throws.
func withDirectory<R>(_ body: (String) async throws -> R) async throws -> R {
    var template = Array("/var/tmp/csi-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemFailure("mkdtemp in /var/tmp") }
    let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    defer { remove(path) }
    return try await body(path)
}

private func remove(_ directory: String) {
    let table = try? MountTable.current()
    for mount in table?.mounts.reversed() ?? [] where mount.mountPoint.hasPrefix(directory + "/") {
        umount2(mount.mountPoint, Int32(MNT_DETACH))
    }
    // What is still mounted is never emptied: the removal would go into the volume.
    if (try? MountTable.current().mounts.contains { $0.mountPoint.hasPrefix(directory + "/") }) == false {
        try? FileManager.default.removeItem(atPath: directory)
    }
}

func makeDirectory(_ path: String) throws -> String {
    guard mkdir(path, 0o750) == 0 else { throw SystemFailure("mkdir \(path)") }
    return path
}

/// Writes bytes to a file or device at an offset.
func write(_ bytes: [UInt8], to path: String, at offset: UInt64 = 0) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw SystemFailure("open \(path)") }
    defer { close(file) }
    guard pwrite(file, bytes, bytes.count, off_t(offset)) == bytes.count, fsync(file) == 0 else {
        throw SystemFailure("write \(path)")
    }
}

func read(_ count: Int, from path: String, at offset: UInt64 = 0) throws -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw SystemFailure("open \(path)") }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: count)
    guard pread(file, &bytes, count, off_t(offset)) == count else { throw SystemFailure("read \(path)") }
    return bytes
}

func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
