import Glibc

extension BlockDevice {
    /// Whether some process that this one can see has the device open; the kernel counts that nowhere.
    package static func isOpen(_ device: DeviceNumber) throws(HostError) -> Bool {
        for process in try BackingDirectory(path: "/proc").names() where process.utf8.allSatisfy(isDigit) {
            // A process that ended meanwhile has nothing open.
            guard let files = try? BackingDirectory(path: "/proc/\(process)/fd").names() else { continue }
            for file in files {
                var status = stat()
                guard stat("/proc/\(process)/fd/\(file)", &status) == 0, status.st_mode & S_IFMT == S_IFBLK else {
                    continue
                }
                if DeviceNumber(rawValue: status.st_rdev) == device { return true }
            }
        }
        return false
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
