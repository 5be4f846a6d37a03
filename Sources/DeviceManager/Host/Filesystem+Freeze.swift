import CLinux
import Glibc
import SystemPackage

extension Filesystem {
    /// Writes out everything and stops all writers until `thaw`, even if this process ends (ioctl_fifreeze(2)).
    ///
    /// Throws `busy` when it is frozen already.
    package static func freeze(_ mountPoint: String) throws(HostError) {
        guard let number = control(mountPoint, linux_FIFREEZE) else { return }
        let remedy = "somebody else froze it; end that first (fsfreeze -u)"
        throw .system(number, "freeze the file system at \(mountPoint)", remedy: number == EBUSY ? remedy : nil)
    }

    /// Lets writers go on; one that is not frozen is fine.
    package static func thaw(_ mountPoint: String) throws(HostError) {
        guard let number = control(mountPoint, linux_FITHAW), number != EINVAL else { return }
        throw .system(number, "thaw the file system at \(mountPoint)", remedy: "fsfreeze -u \(mountPoint) may help")
    }

    /// The system's error number; nil when it worked.
    private static func control(_ mountPoint: String, _ request: UInt) -> Int32? {
        do throws(Errno) {
            let directory = try Descriptor(opening: mountPoint, O_RDONLY)
            return ioctl(directory.raw, request, 0) == 0 ? nil : errno
        } catch {
            return error.rawValue
        }
    }
}
