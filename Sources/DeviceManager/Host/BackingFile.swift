import CLinux
import Glibc
import SystemPackage

/// A regular file that holds a volume, by its path. The value owns nothing: every method opens the file and closes it
/// again, blocks its thread, and never follows a symbolic link.
package struct BackingFile: Sendable, Hashable {
    /// What the file is to the kernel, whatever its name becomes.
    package struct Identity: Sendable, Hashable {
        package let device: UInt64
        package let inode: UInt64
    }

    package struct Status: Sendable, Hashable {
        package let identity: Identity
        package let size: UInt64
        /// Bytes that the file system has set aside for it.
        package let allocated: UInt64
    }

    package let path: String

    package init(path: String) {
        self.path = path
    }

    /// Nil when there is no such file.
    package func status() throws(HostError) -> Status? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return nil }
            throw .system(errno, "look at \(path)")
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw HostError(.failed, "\(path) is not a regular file") }
        return Status(
            identity: Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)),
            size: UInt64(status.st_size), allocated: UInt64(status.st_blocks) * 512)
    }

    /// Makes a file of zeroes, over what an earlier attempt left; not yet durable. After an error nothing is left.
    package func create(size: UInt64, allocated: Bool) throws(HostError) {
        try fillNew { file throws(HostError) in
            try resize(file, to: size)
            if allocated { try allocate(file, 0..<size) }
        }
    }

    /// Makes a file that shares the content of another, and reads as zeroes from there to `size`.
    package func create(sharing other: BackingFile, size: UInt64) throws(HostError) {
        try fillNew { file throws(HostError) in
            let source = try other.opened(O_RDONLY)
            guard ioctl(file.raw, linux_FICLONE, source.raw) == 0 else {
                throw .system(errno, "share the content of \(other.path) with \(path)")
            }
            try resize(file, to: size)
        }
    }

    /// Sets space aside for its holes, where the file system can; its content stays.
    package func fillHoles(size: UInt64) throws(HostError) {
        _ = try reserve(try opened(O_RDWR), 0..<size, flags: 0)
    }

    /// Makes the file larger; after an error it is what it was.
    package func grow(from oldSize: UInt64, to size: UInt64, allocated: Bool) throws(HostError) {
        let file = try opened(O_RDWR)
        do {
            // Behind the end first, so that the size changes only when there is room for it.
            if allocated { try allocate(file, oldSize..<size, flags: linux_FALLOC_FL_KEEP_SIZE) }
            try resize(file, to: size)
            try flush(file)
        } catch {
            _ = ftruncate(file.raw, off_t(oldSize))
            throw error
        }
    }

    /// Gives back what is set aside behind the end of the file.
    package func trim(to size: UInt64) throws(HostError) {
        try resize(try opened(O_RDWR), to: size)
    }

    package func flush() throws(HostError) {
        try flush(try opened(O_RDONLY))
    }

    /// Whether a process or a loop device has the file open; true where the file system cannot tell.
    ///
    /// The kernel grants a write lease only on a file that nobody else has open (fcntl(2), F_SETLEASE).
    package func mayBeOpen() throws(HostError) -> Bool {
        let file = try opened(O_RDONLY)
        // Who opens it meanwhile has the kernel send this signal, which does nothing; SIGIO would end the process.
        guard fcntl(file.raw, linux_F_SETSIG, SIGURG) == 0,
            fcntl(file.raw, linux_F_SETLEASE, F_WRLCK) == 0
        else { return true }
        _ = fcntl(file.raw, linux_F_SETLEASE, F_UNLCK)
        return false
    }

    package func rename(to other: BackingFile) throws(HostError) {
        guard Glibc.rename(path, other.path) == 0 else { throw .system(errno, "rename \(path) to \(other.path)") }
    }

    /// A file that is gone already is fine.
    package func remove() throws(HostError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .system(errno, "remove \(path)") }
    }
}

extension BackingFile {
    func opened(_ flags: Int32, mode: mode_t = 0) throws(HostError) -> Descriptor {
        do throws(Errno) {
            return try Descriptor(opening: path, flags | O_NOFOLLOW, mode: mode)
        } catch {
            throw .system(error.rawValue, "open \(path)")
        }
    }

    private func fillNew(_ body: (borrowing Descriptor) throws(HostError) -> Void) throws(HostError) {
        let file = try opened(O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        do throws(HostError) {
            try body(file)
        } catch {
            unlink(path)
            throw error
        }
    }

    private func resize(_ file: borrowing Descriptor, to size: UInt64) throws(HostError) {
        guard let size = off_t(exactly: size) else {
            throw HostError(.noSpace, "\(path) cannot have \(size) bytes: no file can")
        }
        guard ftruncate(file.raw, size) == 0 else { throw .system(errno, "give \(path) \(size) bytes") }
    }

    private func flush(_ file: borrowing Descriptor) throws(HostError) {
        guard fsync(file.raw) == 0 else { throw .system(errno, "flush \(path)") }
    }

    /// Sets space aside for a range without content; zeroes are written where the file system cannot do it otherwise.
    private func allocate(_ file: borrowing Descriptor, _ range: Range<UInt64>, flags: Int32 = 0) throws(HostError) {
        guard try !reserve(file, range, flags: flags) else { return }
        try file.writeZeroes(range, path)
    }

    /// False where the file system cannot do that.
    func reserve(_ file: borrowing Descriptor, _ range: Range<UInt64>, flags: Int32) throws(HostError) -> Bool {
        guard let start = off_t(exactly: range.lowerBound), let length = off_t(exactly: range.count) else {
            throw HostError(.noSpace, "\(path) cannot have \(range.upperBound) bytes: no file can")
        }
        do throws(Errno) {
            _ = try systemCall { Int(linux_fallocate(file.raw, flags, Int64(start), Int64(length))) }
            return true
        } catch {
            if error == .notSupported || error == .noFunction || error.rawValue == EOPNOTSUPP { return false }
            // File systems that have no reflinks call the flag invalid.
            if error == .invalidArgument && flags == linux_FALLOC_FL_UNSHARE_RANGE { return false }
            throw .system(error.rawValue, "set aside \(length) bytes for \(path)")
        }
    }
}
