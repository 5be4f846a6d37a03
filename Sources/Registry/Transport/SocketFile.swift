import Glibc

/// The file of a Unix domain socket; owned by `ListeningSocket`. It removes what is provably a dead socket
/// or provably its own, and nothing else.
struct SocketFile: Sendable {
    let path: String
    private var device: dev_t = 0
    private var inode: ino_t = 0

    init(path: String) {
        self.path = path
    }

    /// Removes a stale socket; throws where something must not be removed or the directory is missing.
    func makeRoom() throws(TransportError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            let code = errno
            guard code == ENOENT else {
                throw TransportError(.cannotListen, "cannot listen on unix://\(path): \(errnoText(code))")
            }
            try requireDirectory()
            return
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw TransportError(
                .notASocket,
                "cannot listen on unix://\(path): it exists and is not a socket; remove it or choose another path")
        }
        guard try isStale() else {
            throw TransportError(
                .inUse,
                "cannot listen on unix://\(path): another process accepts connections there; stop it first")
        }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw TransportError(.cannotListen, "cannot remove the stale socket \(path): \(errnoText())")
        }
    }

    /// This file with the identity that it has now.
    func identified() -> SocketFile {
        var status = stat()
        guard lstat(path, &status) == 0 else { return self }
        var file = self
        file.device = status.st_dev
        file.inode = status.st_ino
        return file
    }

    func removeIfOurs() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
        unlink(path)
    }

    static func address(of path: String) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // The rest of the structure is zero, which is the terminator; `Endpoint` has checked the length.
        withUnsafeMutableBytes(of: &address.sun_path) {
            $0.copyBytes(from: path.utf8.prefix(Endpoint.maximumPathBytes))
        }
        return address
    }

    private func requireDirectory() throws(TransportError) {
        let end = path.lastIndex(of: "/") ?? path.startIndex
        let directory = end == path.startIndex ? "/" : String(path[..<end])
        var status = stat()
        guard stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw TransportError(
                .cannotListen,
                "cannot listen on unix://\(path): there is no directory \(directory); create it or mount it there")
        }
    }

    /// Whether nobody listens: only a refused connection proves that.
    private func isStale() throws(TransportError) -> Bool {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        let probe = socket(AF_UNIX, type, 0)
        guard probe >= 0 else {
            throw TransportError(.cannotListen, "cannot make a socket to probe \(path): \(errnoText())")
        }
        defer { close(probe) }
        var address = Self.address(of: path)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(probe, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result != 0 && (errno == ECONNREFUSED || errno == ENOENT)
    }
}
