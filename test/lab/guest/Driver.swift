import FoundationEssentials
import Glibc
import Synchronization

/// The real driver process under test: started, stopped and killed as often as a step likes.
///
/// One at a time; its log, of all starts, is one file in the shared folder.
final class Driver: Sendable {
    let program: String
    let directory: String
    let log: String
    let records: String
    /// The values of -deviceManager and -mode.
    let manager: String, mode: String
    private let child = Mutex<Child?>(nil)
    private let extra = Mutex<[String]>([])

    static let socket = "/run/pmem-csi/csi.sock"
    static let node = "host-1"
    static let metricsPort: UInt16 = 10010

    init(program: String, shared: String, manager: String, mode: String, records: String) {
        self.program = program
        self.manager = manager
        self.mode = mode
        self.records = records
        directory = "/run/pmem-csi"
        log = "\(shared)/driver.log"
    }

    func arguments(endpoint: String, records: String) -> [String] {
        [
            "-mode", mode, "-deviceManager", manager, "-endpoint", endpoint, "-nodeid", Self.node, "-statePath",
            records, "-metricsListen", "127.0.0.1:\(Self.metricsPort)", "-v=5",
            // An emulated machine that is busy besides copies slowly; a later flag of the same name wins.
            "-snapshotFreezeSeconds=60",
        ] + extra.withLock { $0 }
    }

    /// Runs the body with a driver that has other flags, and then one as before.
    func with<R>(flags: String..., body: () async throws -> R) async throws -> R {
        try await stop()
        extra.withLock { $0 = flags }
        let result: Result<R, any Error>
        do {
            try await start()
            result = .success(try await body())
        } catch { result = .failure(error) }
        extra.withLock { $0 = [] }
        try await stop()
        try await start()
        return try result.get()
    }

    /// Starts it; it need not be ready.
    ///
    /// `prefix`: a program that runs it, such as strace.
    func spawn(prefix: [String] = []) throws {
        mkdir(directory, 0o755)
        let started = try Child.start(
            prefix + [program] + arguments(endpoint: "unix://\(Self.socket)", records: records), output: log)
        child.withLock { $0 = started }
    }

    /// Starts it and waits for Probe to be ready; returns after how many milliseconds it was.
    @discardableResult
    func start(within limit: Duration = .seconds(60), prefix: [String] = []) async throws -> Int64 {
        let start = ContinuousClock.now
        try spawn(prefix: prefix)
        try await eventually("Probe ready", within: limit) {
            if let status = child.withLock({ $0?.status() }) {
                child.withLock { $0 = nil }
                throw Failure("the driver ended with status \(status); see \(log)")
            }
            return await CSI().isReady()
        }
        return milliseconds(since: start)
    }

    /// Waits for an end that something else brings.
    func waitForEnd() async throws {
        guard let running = take() else { return }
        _ = try await running.wait(atMost: .seconds(60))
    }

    /// As a crash: no warning, nothing cleaned up.
    func crash() async throws {
        guard let running = take() else { return }
        running.signal(SIGKILL)
        _ = try await running.wait(atMost: .seconds(30))
        note("==== killed")
    }

    /// SIGTERM; returns the exit status and after how many milliseconds it ended.
    @discardableResult
    func stop(within limit: Duration = .seconds(30)) async throws -> (status: Int32, milliseconds: Int64) {
        guard let running = take() else { return (0, 0) }
        let start = ContinuousClock.now
        running.signal(SIGTERM)
        let status = try await running.wait(atMost: limit)
        return (status, milliseconds(since: start))
    }

    func restart() async throws {
        try await crash()
        try await start()
    }

    var isRunning: Bool { child.withLock { $0 != nil } }

    private func take() -> Child? {
        child.withLock { child in
            defer { child = nil }
            return child
        }
    }

    /// A line in the driver's log, so that it can be read beside the table.
    func note(_ line: String) {
        let file = open(log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        guard file >= 0 else { return }
        defer { close(file) }
        _ = (line + "\n").withCString { write(file, $0, strlen($0)) }
    }

    /// The phase that each volume's record is in.
    func phases() throws -> [String: String] {
        struct Record: Decodable { let id, phase: String }
        var found: [String: String] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: records) where name.hasSuffix(".json") {
            // A file may be gone between listing and reading.
            guard let text = try? Kernel.read("\(records)/\(name)") else { continue }
            let record = try JSONDecoder().decode(Record.self, from: Data(text.utf8))
            found[record.id] = record.phase
        }
        return found
    }
}
