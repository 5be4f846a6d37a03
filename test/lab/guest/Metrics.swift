import Glibc

/// The driver's figures, read as Prometheus reads them.
enum Metrics {
    /// Runs of lvm so far, by command.
    static func lvmRuns() throws -> [String: Int] {
        var runs: [String: Int] = [:]
        for line in try text().split(separator: "\n") where line.hasPrefix("pmem_csi_lvm_runs_total{") {
            let quoted = line.split(separator: "\"", omittingEmptySubsequences: false)
            guard quoted.count >= 3, let value = line.split(separator: " ").last.flatMap({ Double($0) }) else {
                continue
            }
            runs[String(quoted[1]), default: 0] += Int(value)
        }
        return runs
    }

    /// The lvm commands that the call caused.
    static func runs(of call: () async throws -> Void) async throws -> [String: Int] {
        let before = try lvmRuns()
        try await call()
        return try lvmRuns().merging(before) { $0 - $1 }.filter { $0.value != 0 }
    }

    /// The bytes that the driver has overwritten so far.
    static func erasedBytes() throws -> UInt64 {
        try text().split(separator: "\n").filter { $0.hasPrefix("pmem_csi_erased_bytes_total") }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
            .reduce(0) { $0 + UInt64($1) }
    }

    /// The time that the driver has spent in a method so far.
    static func milliseconds(in method: String) throws -> Int64 {
        try text().split(separator: "\n")
            .filter { $0.hasPrefix("csi_plugin_operations_seconds_sum{") && $0.contains("/\(method)\"") }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
            .reduce(0) { $0 + Int64($1 * 1000) }
    }

    static func text() throws -> String {
        let connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(connection) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = Driver.metricsPort.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(connection, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Kernel.failure("connect to", "127.0.0.1:\(Driver.metricsPort)") }
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        guard request.withCString({ send(connection, $0, strlen($0), 0) }) > 0 else {
            throw Kernel.failure("write to", "/metrics")
        }
        var answer: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(connection, &piece, piece.count, 0)
            if count <= 0 { break }
            answer += piece[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        try check(text.hasPrefix("HTTP/1.1 200"), "GET /metrics: \(text.prefix(80))")
        return text
    }
}
