import Glibc

extension PrometheusMetrics {
    /// Publishes the version and what /proc says about this process.
    func registerProcessMetrics(version: String) {
        registerGauge(
            name: "build_info", help: "Version of the driver.", labels: [("version", version)], simple: true
        ) { 1 }
        registerGauge(name: "process_resident_memory_bytes", help: "Resident memory size in bytes.") {
            ProcessFacts.residentMemory()
        }
        let start = ProcessFacts.startTime()
        registerGauge(
            name: "process_start_time_seconds", help: "Start time of the process since the Unix epoch in seconds."
        ) { start }
    }
}

/// Readings of /proc/self; nil where the kernel does not tell.
enum ProcessFacts {
    static func residentMemory() -> Double? {
        let fields = read("/proc/self/statm")?.split(separator: " ")
        guard let fields, fields.count > 1, let pages = Double(fields[1]) else { return nil }
        return pages * Double(sysconf(CInt(_SC_PAGESIZE)))
    }

    /// Seconds since the epoch: the boot time plus the process's start in clock ticks after it.
    static func startTime() -> Double? {
        // The program's name is in parentheses and may hold spaces; field 3 follows the last one.
        let status = read("/proc/self/stat")
        guard let end = status?.lastIndex(of: ")"), let fields = status?[end...].split(separator: " "),
            fields.count > 20, let ticks = Double(fields[20]),
            let line = read("/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let boot = Double(line.dropFirst("btime ".count))
        else { return nil }
        return boot + ticks / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 { return nil }
            if count == 0 { return String(decoding: content, as: UTF8.self) }
            content += chunk.prefix(count)
        }
    }
}
