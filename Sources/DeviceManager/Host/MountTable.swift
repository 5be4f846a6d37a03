import Glibc
import SystemPackage

/// A snapshot of a mount namespace's mounts, in the kernel's order: of mounts stacked at one path, the last is the one
/// that is seen. The caller owns the value; it does not change with the system.
package struct MountTable: Sendable {
    package let mounts: [Mount]

    /// Takes the content of a mountinfo file; lines of an unknown form are left out.
    package init(parsing mountinfo: some StringProtocol) {
        self.init(bytes: Array(mountinfo.utf8))
    }

    init(bytes: [UInt8]) {
        mounts = bytes.split(separator: UInt8(ascii: "\n")).compactMap(Mount.init(line:))
    }

    /// This process's own mount namespace, as it is now.
    package static func current() throws(HostError) -> MountTable {
        do throws(Errno) {
            return try read("/proc/self/mountinfo")
        } catch {
            throw .system(error.rawValue, "read /proc/self/mountinfo", remedy: "check that /proc is mounted")
        }
    }

    static func read(_ path: String) throws(Errno) -> MountTable {
        let file = try Descriptor(opening: path, O_RDONLY)
        return MountTable(bytes: try file.readAll())
    }

    /// What is seen at this very path; nil when nothing is mounted there, whatever it lies on.
    package func at(_ path: String) -> Mount? {
        mounts(at: path).last
    }

    /// All mounts stacked at this very path, the one that is seen last.
    package func mounts(at path: String) -> [Mount] {
        let resolved = ResolvedPath(path)?.text ?? path
        // Not ==, which takes canonically equivalent names for the same.
        return mounts.filter { $0.mountPoint.utf8.elementsEqual(resolved.utf8) }
    }

    /// The mounts of the file system on this device, bind mounts of parts of it included.
    package func mounts(of device: DeviceNumber) -> [Mount] {
        mounts.filter { $0.device == device }
    }
}
