import FoundationEssentials

/// `lvm` processes that outlived the driver that started them, killed at the wrong moment.
///
/// What such a process is about to make is in no report yet, so whoever takes a creation back waits for it. In a
/// container without the host's process ids there is nothing to wait for: its processes end with it.
enum OrphanedCommands {
    /// Returns when no `lvm` works on a volume of that name any more.
    ///
    /// Throws `unavailable` after a minute.
    static func wait(mentioning name: String) async throws(DeviceError) {
        for _ in 0..<300 {
            guard try await blockingDevice({ try isRunning(mentioning: name) }) else { return }
            await pause(.milliseconds(200))
        }
        throw DeviceError(.unavailable, "volume \(name): an lvm command of an earlier driver still works on it")
    }

    private static func isRunning(mentioning name: String) throws -> Bool {
        let processes = try FileManager.default.contentsOfDirectory(atPath: "/proc")
        return processes.contains { process in
            guard Int(process) != nil, let bytes = try? Data(contentsOf: URL(filePath: "/proc/\(process)/cmdline"))
            else { return false }
            let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return words.first?.hasSuffix("lvm") == true && words.contains { $0.hasSuffix(name) }
        }
    }
}
