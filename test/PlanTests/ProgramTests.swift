import ArgumentParser
import Glibc
import Logging
import Program
import Testing

@Suite struct FlagSyntaxTests {
    private let syntax = FlagSyntax(
        flags: ["mode", "nodeid", "deviceManager", "v", "endpoint"], booleans: ["testEndpoint"],
        environmentNames: ["endpoint": "CSI_ENDPOINT"])

    @Test(
        "Go's spellings of a flag become ArgumentParser's",
        arguments: [
            (["-mode=unified"], ["--mode=unified"]),
            (["--mode=unified"], ["--mode=unified"]),
            (["-mode", "unified"], ["--mode=unified"]),
            (["--mode", "unified"], ["--mode=unified"]),
            (["-v=5", "-v", "3"], ["--v=5", "--v=3"]),
            (["-mode="], ["--mode="]),
            (["-mode=a=b"], ["--mode=a=b"]),
            (["-nodeid", "-mode"], ["--nodeid=-mode"]),
            (["-testEndpoint"], ["--testEndpoint"]),
            (["-testEndpoint=true", "-testEndpoint=false"], []),
            (["-testEndpoint=F", "-testEndpoint=T"], ["--testEndpoint"]),
            (["-version"], ["--version"]),
            (["-h"], ["-h"]),
            (["create", "-mode", "x", "name", "-5"], ["create", "--mode=x", "name", "-5"]),
            (["-mode", "x", "--", "-nodeid", "y"], ["--mode=x", "--", "-nodeid", "y"]),
            (["-unknown=1"], ["--unknown=1"]), (["-unknown"], ["--unknown"]), (["-"], ["-"]), (["-5"], ["-5"]),
            ([], []),
        ])
    func normalization(_ arguments: [String], _ expected: [String]) throws {
        #expect(try syntax.normalize(arguments, environment: [:]) == expected)
    }

    @Test(
        "the environment stands in for a flag, and the command line wins over it",
        arguments: [
            (["PMEM_CSI_DEVICE_MANAGER": "lvm"], [], ["--deviceManager=lvm"]),
            (["CSI_ENDPOINT": "unix:///b"], [], ["--endpoint=unix:///b"]),
            (["CSI_ENDPOINT": "b", "PMEM_CSI_ENDPOINT": "a"], [], ["--endpoint=a"]),
            (["CSI_ENDPOINT": "b", "PMEM_CSI_ENDPOINT": ""], [], ["--endpoint=b"]),
            (["PMEM_CSI_MODE": "node"], ["-mode=unified"], ["--mode=node", "--mode=unified"]),
            (["PMEM_CSI_TEST_ENDPOINT": "1"], [], ["--testEndpoint"]),
            (["PMEM_CSI_TEST_ENDPOINT": "1"], ["-testEndpoint=false"], []),
            (["PMEM_CSI_VERSION": "1", "PMEM_CSI_HELP": "1"], [], []),
        ] as [([String: String], [String], [String])])
    func environment(_ environment: [String: String], _ arguments: [String], _ expected: [String]) throws {
        #expect(try syntax.normalize(arguments, environment: environment) == expected)
    }

    @Test(
        "the name of a flag's variable",
        arguments: [
            ("deviceManager", "PMEM_CSI_DEVICE_MANAGER"), ("logging-format", "PMEM_CSI_LOGGING_FORMAT"),
            ("v", "PMEM_CSI_V"), ("nodeid", "PMEM_CSI_NODEID"), ("caFile", "PMEM_CSI_CA_FILE"),
            ("useforfsdax", "PMEM_CSI_USEFORFSDAX"), ("nodeID", "PMEM_CSI_NODE_ID"),
        ])
    func environmentName(_ flag: String, _ expected: String) {
        #expect(FlagSyntax.environmentName(flag) == expected)
    }

    @Test(
        "what cannot be a value is refused with the flag's name",
        arguments: [
            (["-testEndpoint=yes"], [:], "-testEndpoint"), (["-testEndpoint="], [:], "-testEndpoint"),
            (["-mode"], [:], "-mode"), ([], ["PMEM_CSI_TEST_ENDPOINT": "on"], "PMEM_CSI_TEST_ENDPOINT"),
        ] as [([String], [String: String], String)])
    func refusal(_ arguments: [String], _ environment: [String: String], _ name: String) {
        let error = #expect(throws: FlagError.self) {
            try syntax.normalize(arguments, environment: environment)
        }
        #expect(error?.message.contains(name) == true)
    }
}

@Suite struct LogRecordTests {
    private func record(_ message: String, _ metadata: Logger.Metadata = [:]) -> LogRecord {
        LogRecord(
            time: "2026-11-21T09:00:00.123Z", level: .info, logger: "test", message: message, metadata: metadata)
    }

    @Test(
        "a record of text is one line of words",
        arguments: [
            ("started", [:], "started"),
            ("started", ["b": "2", "a": "x"], "started a=x b=2"),
            ("started", ["a": "two words"], "started a=\"two words\""),
            ("started", ["a": "x\ny\u{1b}"], "started a=\"x\\ny\\u001b\""),
            ("started", ["a": "a\"b\\"], "started a=\"a\\\"b\\\\\""),
            ("started", ["a": ""], "started a=\"\""),
            ("two\nlines", [:], "two\\nlines"),
            ("line\u{2028}end", [:], "line\\u2028end"),
        ] as [(String, Logger.Metadata, String)])
    func text(_ message: String, _ metadata: Logger.Metadata, _ expected: String) {
        #expect(record(message, metadata).text == "2026-11-21T09:00:00.123Z INFO \(expected)")
    }

    @Test("a record of JSON has its metadata as fields")
    func json() {
        let metadata: Logger.Metadata = [
            "size": .stringConvertible(7), "list": ["a", "b\n"], "map": ["k": "v"], "msg": "other",
        ]
        let expected =
            #"{"ts":"2026-11-21T09:00:00.123Z","level":"info","logger":"test","msg":"it \"is\"","#
            + #""list":["a","b\n"],"map":{"k":"v"},"_msg":"other","size":7}"#
        #expect(record("it \"is\"", metadata).json == expected)
    }

    @Test("a record reaches its descriptor as one line, with the logger's metadata and the call's")
    func stream() {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        defer { ends.forEach { close($0) } }
        let descriptor = ends[1]
        var logger = Logger(label: "test") {
            StreamLogger(label: $0, level: .info, format: .text, descriptor: descriptor)
        }
        logger[metadataKey: "a"] = "1"
        logger.debug("not this one")
        logger.info("hello", metadata: ["b": "2"])
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(ends[0], &buffer, buffer.count)
        let line = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
        #expect(line.hasSuffix("Z INFO hello a=1 b=2\n"))
        #expect(line.split(separator: "\n").count == 1)
    }
}

@Suite struct TextTableTests {
    @Test("cells are aligned, missing ones blank, and no line ends with blanks")
    func alignment() {
        var table = TextTable(["NAME", "SIZE", "REMARK"], rightAligned: ["SIZE"])
        table.append(["a", "1"])
        table.append(["longer", "100", "x\ny", "too much"])
        #expect(table.description == "NAME    SIZE  REMARK\na          1\nlonger   100  x y")
    }

    @Test(
        "bytes are shown in the largest unit and never rounded up",
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (4_160_749_568, "3.875 GiB"), (32 << 30, "32 GiB"),
            (1 << 40 - 1, "1023.999 GiB"), (.max, "16777215.999 TiB"),
        ] as [(UInt64, String)])
    func byteCount(_ bytes: UInt64, _ expected: String) {
        #expect(ByteCount(bytes).description == expected)
    }
}

/// With a flag of its own and the two of all programs.
private struct SmallProgram: ProgramCommand {
    static let configuration = CommandConfiguration(
        commandName: "small", abstract: "A small program.", version: "1.2.3")
    static let syntax = FlagSyntax(flags: ["mode"])

    @Option var mode = "plain"

    func run() async throws { print("ran as \(mode)") }
}

@Suite struct ProgramCommandTests {
    @Test(
        "help and version are printed and nothing is run; flags reach the program",
        arguments: [
            ("-help", "A small program."), ("--help", "A small program."), ("-h", "A small program."),
            ("-version", "1.2.3"), ("--version", "1.2.3"), ("-mode=other", "ran as other"),
        ])
    func output(_ flag: String, _ expected: String) async {
        let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) { [flag] in
            await SmallProgram.main([flag], environment: [:])
        }
        let text = String(decoding: result?.standardOutputContent ?? [], as: UTF8.self)
        #expect(text.contains(expected))
        #expect(text.contains("ran as") == expected.contains("ran as"))
    }

    @Test("wrong usage is said on standard error, with the status for that")
    func wrongUsage() async {
        let result = await #expect(processExitsWith: .exitCode(64), observing: [\.standardErrorContent]) {
            await SmallProgram.main(["-nosuch"], environment: [:])
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("nosuch"))
    }
}
