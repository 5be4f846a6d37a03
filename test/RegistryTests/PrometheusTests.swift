import CoreMetrics
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
import Registry
import Synchronization
import TestSupport
import Testing

@testable import pmem_csi_driver

@Suite("Prometheus", .timeLimit(.minutes(5)))
struct PrometheusTests {
    @Test("counters and gauges are one sample per label set under one header")
    func samples() async {
        let metrics = PrometheusMetrics(help: ["lvm_runs": "Runs of \\lvm\nby verb."])
        Counter(label: "lvm_runs", dimensions: [("verb", "lvcreate")], factory: metrics).increment(by: 2)
        Counter(label: "lvm_runs", dimensions: [("verb", "lvcreate")], factory: metrics).increment()
        Counter(label: "lvm_runs", dimensions: [("verb", "a\"b\\c\nd")], factory: metrics).increment()
        FloatingPointCounter(label: "erased.bytes", factory: metrics).increment(by: 0.5)
        Gauge(label: "in_flight", factory: metrics).record(7)
        #expect(
            await metrics.text() == """
                # HELP erased_bytes erased_bytes
                # TYPE erased_bytes counter
                erased_bytes 0.5
                # HELP in_flight in_flight
                # TYPE in_flight gauge
                in_flight 7
                # HELP lvm_runs Runs of \\\\lvm\\nby verb.
                # TYPE lvm_runs counter
                lvm_runs{verb="a\\"b\\\\c\\nd"} 1
                lvm_runs{verb="lvcreate"} 3

                """)
    }

    @Test("gauges of one question ask it once for each scrape, and stand below their own headers")
    func oneQuestion() async {
        let metrics = PrometheusMetrics()
        let questions = Mutex(0)
        let isKnown = Mutex(true)
        for mode in ["sector", "fsdax"] {
            metrics.registerGauges([("b_max", "B."), ("a", "A.")], labels: [("mode", mode)], simple: true) {
                questions.withLock { $0 += 1 }
                return isKnown.withLock { $0 } ? [2, 1] : nil
            }
        }
        #expect(
            await metrics.text(simple: true) == """
                # HELP a A.
                # TYPE a gauge
                a{mode="fsdax"} 1
                a{mode="sector"} 1
                # HELP b_max B.
                # TYPE b_max gauge
                b_max{mode="fsdax"} 2
                b_max{mode="sector"} 2

                """)
        #expect(questions.withLock { $0 } == 2)
        isKnown.withLock { $0 = false }
        #expect(await metrics.text() == "")
    }

    @Test("a timer is a cumulative histogram in seconds")
    func histogram() async {
        let metrics = PrometheusMetrics()
        let timer = CoreMetrics.Timer(label: "t_seconds", dimensions: [("code", "OK")], factory: metrics)
        for milliseconds in [5, 6, 700_000] as [Int64] { timer.recordNanoseconds(milliseconds * 1_000_000) }
        let lines = await metrics.text().split(separator: "\n").map(String.init)
        #expect(lines.contains("# TYPE t_seconds histogram"))
        #expect(lines.contains("t_seconds_bucket{code=\"OK\",le=\"0.005\"} 1"))
        #expect(lines.contains("t_seconds_bucket{code=\"OK\",le=\"0.01\"} 2"))
        #expect(lines.contains("t_seconds_bucket{code=\"OK\",le=\"600\"} 2"))
        #expect(lines.contains("t_seconds_bucket{code=\"OK\",le=\"+Inf\"} 3"))
        #expect(lines.contains("t_seconds_sum{code=\"OK\"} 700.011"))
        #expect(lines.contains("t_seconds_count{code=\"OK\"} 3"))
    }

    @Test("counts from many tasks are all there")
    func concurrency() async {
        let metrics = PrometheusMetrics()
        await withDiscardingTaskGroup { group in
            for _ in 0..<64 {
                group.addTask { for _ in 0..<100 { Counter(label: "c", factory: metrics).increment() } }
            }
        }
        #expect(await metrics.text().contains("c 6400\n"))
    }

    @Test("a name has one type; a second one works but is not published")
    func clash() async {
        let metrics = PrometheusMetrics()
        Counter(label: "x", factory: metrics).increment()
        Meter(label: "x", dimensions: [("a", "b")], factory: metrics).set(5)
        #expect(await metrics.text() == "# HELP x x\n# TYPE x counter\nx 1\n")
    }

    @Test(
        "the server answers GET of the two paths and nothing else",
        arguments: [
            ("GET /metrics HTTP/1.1", "HTTP/1.1 200 OK", true, true),
            ("GET /metrics?name=x HTTP/1.0", "HTTP/1.1 200 OK", true, true),
            ("GET /metrics/simple HTTP/1.1", "HTTP/1.1 200 OK", true, false),
            ("GET / HTTP/1.1", "HTTP/1.1 404 Not Found", false, false),
            ("POST /metrics HTTP/1.1", "HTTP/1.1 405 Method Not Allowed", false, false),
        ])
    func server(_ request: String, _ status: String, _ hasBuildInfo: Bool, _ hasCounter: Bool) async throws {
        let metrics = PrometheusMetrics()
        metrics.registerProcessMetrics(version: "1.2.3")
        Counter(label: "lvm_runs", factory: metrics).increment()
        let server = try MetricsServer(listen: "127.0.0.1:0", metrics: metrics, logger: quiet)
        try await running(server) { _ in
            let answer = try await Self.exchange(request, with: server.listeningEndpoint)
            #expect(answer.hasPrefix("\(status)\r\n"))
            #expect(answer.contains("build_info{version=\"1.2.3\"} 1\n") == hasBuildInfo)
            #expect(answer.contains("lvm_runs 1\n") == hasCounter)
            #expect(answer.contains("process_resident_memory_bytes ") == hasCounter)
        }
    }

    @Test("an address in use is fatal", arguments: ["127.0.0.1", "tcp://127.0.0.1"])
    func inUse(_ host: String) async throws {
        let first = try ListeningSocket(Endpoint("tcp://127.0.0.1:0"))
        guard case .tcp(_, let port) = first.endpoint.address else { return }
        let server = try MetricsServer(listen: "\(host):\(port)", metrics: PrometheusMetrics(), logger: quiet)
        let error = await #expect(throws: TransportError.self) { try await server.run() }
        #expect(error?.code == .inUse)
    }

    @Test("the process started in the past and uses memory")
    func process() throws {
        #expect(try #require(ProcessFacts.startTime()) > 1_000_000_000)
        let resident = try #require(ProcessFacts.residentMemory())
        #expect(resident > 1_000_000)
        #expect(try #require(ProcessFacts.virtualMemory()) > resident)
        #expect(try #require(ProcessFacts.processorTime()) > 0)
        let (files, limit) = (try #require(ProcessFacts.openFiles()), try #require(ProcessFacts.openFilesLimit()))
        #expect(files >= 3 && files <= limit)
    }

    @Test("regions are summed up, and nothing else")
    func regions() throws {
        let directory = try TemporaryDirectory()
        for (name, size) in [
            ("region0", "4160749568\n"), ("region1", "100\n"), ("namespace0.0", "7\n"), ("nmem0", "1\n"),
        ] {
            try FileManager.default.createDirectory(
                atPath: "\(directory.path)/\(name)", withIntermediateDirectories: true)
            try Data(size.utf8).write(to: URL(filePath: "\(directory.path)/\(name)/size"))
        }
        #expect(ProcessFacts.persistentMemory(directory.path) == 4_160_749_668)
        #expect(ProcessFacts.persistentMemory("\(directory.path)/nowhere") == 0)
    }

    private static func exchange(_ request: String, with endpoint: Endpoint) async throws -> String {
        guard case .tcp(let host, let port) = endpoint.address else { return "" }
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: host, port: Int(port)) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: "\(request)\r\nHost: localhost\r\n\r\n"))
            var answer = ""
            for try await buffer in inbound { answer += String(buffer: buffer) }
            return answer
        }
    }
}
