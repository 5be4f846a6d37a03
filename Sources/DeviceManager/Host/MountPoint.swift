import Glibc
import SystemPackage

/// Mount points are made and removed one at a time: never their parents, never with content, so that no mistake about
/// what is mounted can delete data.
extension Mounter {
    /// What is there already must be empty: a mount would hide it, and later stand in the way of removing the directory.
    package static func createMountPoint(directory path: String) throws(HostError) {
        if mkdir(path, 0o750) == 0 { return }
        guard errno == EEXIST else { throw creationError(errno, path) }
        guard kind(of: path) == S_IFDIR else {
            throw HostError(.invalidArgument, "mount point \(path) exists and is no directory; remove it")
        }
        guard try BackingDirectory(path: path).names().isEmpty else {
            throw occupied("nothing is mounted over \(path)", "it holds files")
        }
    }

    /// For raw block volumes, whose device node is bound to a file; when it is there already, the path is a device.
    package static func createMountPoint(file path: String) throws(HostError) {
        do throws(Errno) {
            _ = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o640)
        } catch {
            guard error == .fileExists else { throw creationError(error.rawValue, path) }
            guard let kind = kind(of: path), kind == S_IFREG || kind == S_IFBLK else {
                throw HostError(.invalidArgument, "mount point \(path) exists and is no file; remove it")
            }
            var status = stat()
            guard kind == S_IFBLK || stat(path, &status) == 0 && status.st_size == 0 else {
                throw occupied("no device is bound to \(path)", "the file has content")
            }
        }
    }

    /// Removes an empty directory or an empty file; it is fine if there is nothing.
    package static func removeMountPoint(_ path: String) throws(HostError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return }
            throw .system(errno, "look at mount point \(path)")
        }
        let kind = status.st_mode & S_IFMT
        guard kind == S_IFDIR || kind == S_IFREG && status.st_size == 0 else {
            throw occupied("\(path) is not removed", "it is no empty directory or file")
        }
        guard (kind == S_IFDIR ? rmdir(path) : unlink(path)) != 0 else { return }
        let number = errno
        if number == ENOENT { return }
        let remedy =
            switch number {
            case ENOTEMPTY: "data is never deleted; look at what it holds"
            case EBUSY: "something is mounted there; unmount it first"
            default: String?.none
            }
        throw .system(number, "remove mount point \(path)", remedy: remedy)
    }

    private static func occupied(_ refusal: String, _ reason: String) -> HostError {
        HostError(.occupied, "\(refusal): \(reason), which is never deleted; look at it and move it away")
    }

    private static func kind(of path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    private static func creationError(_ number: Int32, _ path: String) -> HostError {
        let remedy = "its parent directory must exist, the driver does not make it"
        return .system(number, "create mount point \(path)", remedy: number == ENOENT ? remedy : nil)
    }
}
