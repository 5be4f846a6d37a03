import Glibc
import SystemPackage

/// A device may be mounted where this process does not see it: in a container, or in a service with its own namespace.
extension MountTable {
    package static func isMountedAnywhere(_ device: DeviceNumber) throws(HostError) -> Bool {
        try !mountsAnywhere(of: device).isEmpty
    }

    /// The device's mounts in all mount namespaces that have a process, bind mounts of its node (raw block volumes)
    /// included.
    package static func mountsAnywhere(of device: DeviceNumber) throws(HostError) -> [Mount] {
        var found: [Mount] = []
        var namespaces: Set<String> = []
        for process in try processes() {
            // A process that ended meanwhile does not settle its namespace: the next one in it does.
            guard let namespace = link("/proc/\(process)/ns/mnt"), !namespaces.contains(namespace),
                let table = try? read("/proc/\(process)/mountinfo")
            else { continue }
            namespaces.insert(namespace)
            found += table.mounts.filter {
                $0.device == device || $0.isNode(of: device, below: "/proc/\(process)/root")
            }
        }
        return found
    }

    /// This process comes first, so that a namespace is settled even if all its other processes end.
    private static func processes() throws(HostError) -> [String] {
        let names: [String]
        do throws(HostError) {
            names = try BackingDirectory(path: "/proc").names()
        } catch {
            throw .system(error.errno ?? EIO, "read /proc", remedy: "check that /proc is mounted")
        }
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return ["self"] + names.filter { $0.utf8.allSatisfy(digits.contains) }
    }

    private static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink(path, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }
}
