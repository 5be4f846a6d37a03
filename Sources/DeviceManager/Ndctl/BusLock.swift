import Glibc

/// The turn of this process among all that change namespaces: the driver, pmem-ns-init, csictl. Nobody owns it; the
/// kernel ends it with the process, and two bodies never run at once on a machine.
enum BusLock {
    /// The same directory in every container that has the host's /sys.
    private static let directory = "/sys/bus/nd/devices"

    static func holding<T>(_ body: () throws(NdctlError) -> T) throws(NdctlError) -> T {
        let handle = acquire()
        defer { release(handle) }
        return try body()
    }

    /// nil where the directory is not there: without the kernel's modules there is nothing to keep apart.
    private static func acquire() -> CInt? {
        let handle = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { return nil }
        while flock(handle, LOCK_EX) != 0 && errno == EINTR {}
        return handle
    }

    private static func release(_ handle: CInt?) {
        guard let handle else { return }
        // Closing alone leaves the lock with a child that was just forked and has not closed its copy yet.
        flock(handle, LOCK_UN)
        close(handle)
    }
}
