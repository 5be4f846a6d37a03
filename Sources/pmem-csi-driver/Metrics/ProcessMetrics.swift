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
        registerGauge(name: "process_virtual_memory_bytes", help: "Virtual memory size in bytes.") {
            ProcessFacts.virtualMemory()
        }
        registerGauge(name: "process_open_fds", help: "Number of open file descriptors.") { ProcessFacts.openFiles() }
        registerGauge(name: "process_max_fds", help: "Maximum number of open file descriptors.") {
            ProcessFacts.openFilesLimit()
        }
        registerGauge(
            name: "process_cpu_seconds_total", help: "Total user and system CPU time spent in seconds."
        ) { ProcessFacts.processorTime() }
        let start = ProcessFacts.startTime()
        registerGauge(
            name: "process_start_time_seconds", help: "Start time of the process since the Unix epoch in seconds."
        ) { start }
    }
}

/// Readings of /proc/self; nil where the kernel does not tell.
enum ProcessFacts {
    static func residentMemory() -> Double? {
        pages(field: 1)
    }

    static func virtualMemory() -> Double? {
        pages(field: 0)
    }

    private static func pages(field: Int) -> Double? {
        let fields = read("/proc/self/statm")?.split(separator: " ")
        guard let fields, fields.count > field, let pages = Double(fields[field]) else { return nil }
        return pages * Double(sysconf(CInt(_SC_PAGESIZE)))
    }

    static func processorTime() -> Double? {
        guard let fields = status(), fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13])
        else { return nil }
        return (user + system) / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    static func openFiles() -> Double? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0.0
        while readdir(directory) != nil { count += 1 }
        // Without ".", ".." and the descriptor of this very look.
        return count - 3
    }

    static func openFilesLimit() -> Double? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return Double(limit.rlim_cur)
    }

    /// Of /proc/self/stat, what follows the program's name, which is in parentheses and may hold spaces: field 3 is
    /// the second element.
    private static func status() -> [Substring]? {
        guard let text = read("/proc/self/stat"), let end = text.lastIndex(of: ")") else { return nil }
        return text[end...].split(separator: " ")
    }

    /// Seconds since the epoch: the boot time plus the process's start in clock ticks after it.
    static func startTime() -> Double? {
        guard let fields = status(), fields.count > 20, let ticks = Double(fields[20]),
            let line = read("/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let boot = Double(line.dropFirst("btime ".count))
        else { return nil }
        return boot + ticks / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    /// Bytes of the machine's regions, as the kernel says; 0 where there are none.
    static func persistentMemory(_ devices: String = "/sys/bus/nd/devices") -> Double {
        guard let directory = opendir(devices) else { return 0 }
        defer { closedir(directory) }
        var sum = 0.0
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasPrefix("region") else { continue }
            sum += read("\(devices)/\(name)/size").flatMap { Double($0.filter { !$0.isWhitespace }) } ?? 0
        }
        return sum
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
