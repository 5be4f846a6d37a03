import CLinux
import Glibc
import SystemPackage

/// A directory of backing files, by its path; every method blocks its thread.
package struct BackingDirectory: Sendable, Hashable {
    package let path: String

    package init(path: String) {
        self.path = path
    }

    /// One that exists is fine.
    package func create() throws(HostError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .system(errno, "create \(path)") }
    }

    package func file(_ name: String) -> BackingFile { BackingFile(path: "\(path)/\(name)") }

    package func names() throws(HostError) -> [String] {
        guard let directory = opendir(path) else { throw .system(errno, "list \(path)") }
        defer { closedir(directory) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
            errno = 0
        }
        guard errno == 0 else { throw .system(errno, "list \(path)") }
        return names.filter { $0 != "." && $0 != ".." }
    }

    /// Which names lead to which files survives a loss of power from here on.
    package func flush() throws(HostError) {
        do throws(Errno) {
            let directory = try Descriptor(opening: path, O_RDONLY | O_DIRECTORY)
            _ = try systemCall { Int(fsync(directory.raw)) }
        } catch {
            throw .system(error.rawValue, "flush \(path)")
        }
    }

    /// Whether flushing a file that was just made or renamed makes its name durable too: what these file systems promise
    /// beyond POSIX.
    package func flushesNamesWithFiles() throws(HostError) -> Bool {
        let type = linux_filesystem_type(path)
        guard type != 0 else { throw .system(errno, "look at the file system of \(path)") }
        let (ext4, xfs, btrfs): (UInt32, UInt32, UInt32) = (0xEF53, 0x5846_5342, 0x9123_683E)
        return [ext4, xfs, btrfs].contains(type)
    }

    /// The path as the kernel names the files in it.
    package func resolved() throws(HostError) -> String {
        guard let real = realpath(path, nil) else { throw .system(errno, "resolve \(path)") }
        defer { free(real) }
        return String(cString: real)
    }
}
