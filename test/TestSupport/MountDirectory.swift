import FoundationEssentials
import Glibc
import Host

/// Tests of real devices and mounts need root; without it they are reported as skipped.
package let isRoot = getuid() == 0

/// Passes the path of a new directory. Whatever is mounted in it and everything that lies there is gone afterwards,
/// also when the body throws.
package func withDirectory<R>(_ body: (String) async throws -> R) async throws -> R {
    var template = Array("/var/tmp/pmem-csi-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw HostError(.failed, "mkdtemp in /var/tmp", errno: errno) }
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
