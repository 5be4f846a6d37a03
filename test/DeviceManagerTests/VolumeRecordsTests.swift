import DeviceManager
import FoundationEssentials
import Glibc
import Logging
import TestSupport
import Testing

@Suite struct VolumeRecordsTests {
    private static let id = VolumeID(name: "a", node: "n")

    private static func record(_ name: String = "a", _ change: (inout VolumeRecord) -> Void = { _ in }) -> VolumeRecord
    {
        let spec = VolumeSpec(
            id: VolumeID(name: name, node: "n"), name: name, size: SizeRange(required: 5), parameters: .init())
        var record = VolumeRecord(
            spec: spec, capabilities: ["mount ext4 SINGLE_NODE_WRITER"], location: "g", created: 0)
        change(&record)
        return record
    }

    private func open(_ directory: String, _ log: LogRecorder = LogRecorder()) throws -> VolumeRecords {
        try VolumeRecords(directory: "\(directory)/state", logger: log.logger(.info))
    }

    private func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }

    @Test(
        "a record is read as it was written",
        arguments: [
            record(), record { $0.phase = .ready }, record { $0.phase = .deleting },
            record { $0.format = .formatting("ext4") },
            record { $0.format = .formatted("xfs") }, record { $0.format = .unknown }, record { $0.location = "g0" },
            record { $0.erased = .max }, record { $0.size = .max }, record { $0.parameters.eraseAfter = false },
            record { $0.parameters.mode = .sector },
            record { $0.parameters = DirectDeviceManager(logger: LogRecorder().logger(.info)).defaultParameters },
            record { $0.publication = .init(node: "n", readOnly: true, capability: "x") }, record("\u{1F418}\"\\/\n"),
        ])
    func roundTrip(record: VolumeRecord) async throws {
        try await withDirectory { directory in
            try open(directory).save(record)
            let records = try open(directory)
            #expect(records.all == [record])
            let id = try #require(VolumeID(record.id))
            #expect(try records.record(id) == record)
        }
    }

    @Test("files are private, and named by the volume")
    func files() async throws {
        try await withDirectory { directory in
            try open(directory).save(Self.record())
            var status = stat()
            #expect(stat("\(directory)/state", &status) == 0 && status.st_mode & 0o777 == 0o750)
            let path = "\(directory)/state/\(Self.id).json"
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
            #expect(access(path + ".tmp", F_OK) != 0)
            #expect(try text(path).contains("\"format\" : \"never\""))
        }
    }

    @Test("records are listed in the order of their ids, a removed one is gone, twice too")
    func listing() async throws {
        try await withDirectory { directory in
            let records = try open(directory)
            for name in ["c", "a", "b"] { try records.save(Self.record(name)) }
            #expect(records.all.map(\.name) == ["a", "b", "c"])
            try records.remove(Self.id)
            try records.remove(Self.id)
            #expect(try records.record(Self.id) == nil)
            #expect(records.all.map(\.name) == ["b", "c"])
        }
        try await withDirectory { directory in
            let kept = try open(directory)
            try kept.save(Self.record())
            try kept.remove(Self.id)
            #expect(kept.all == [])
        }
    }

    @Test("what cannot be written changes nothing in memory")
    func failedSave() async throws {
        try await withDirectory { directory in
            let records = try open(directory)
            try records.save(Self.record())
            // A directory in the place of the temporary file, which root cannot write either.
            #expect(mkdir("\(directory)/state/\(Self.id).json.tmp", 0o700) == 0)
            let error = #expect(throws: DeviceError.self) { try records.save(Self.record { $0.phase = .ready }) }
            #expect(error?.code == .failed)
            #expect(error?.message.contains("-statePath") == true)
            #expect(records.all.map(\.phase) == [.creating])
        }
    }

    @Test(
        "a file that is no record is an error for its volume alone, and stays",
        arguments: [
            "", "{", "[]", "null", "{}", "{\"id\":\"other\",\"size\":1,\"parameters\":{}}",
            "{\"id\":\"\(VolumeID(name: "b", node: "n"))\",\"size\":1,\"parameters\":{}}",
            "{\"id\":\"\(id)\",\"size\":-1,\"parameters\":{}}",
            "{\"id\":\"\(id)\",\"size\":1,\"parameters\":{\"a\":1}}",
            "\u{FFFD}",
        ])
    func unreadable(content: String) async throws {
        try await withDirectory { directory in
            try open(directory).save(Self.record("b"))
            let path = "\(directory)/state/\(Self.id).json"
            try write(Array(content.utf8), to: path)
            let log = LogRecorder()
            let records = try open(directory, log)
            #expect(records.all.map(\.name) == ["b"])
            let error = #expect(throws: DeviceError.self) { _ = try records.record(Self.id) }
            #expect(error?.code == .failedPrecondition)
            #expect(error?.message.contains(path) == true)
            #expect(log.lines.contains { $0.hasPrefix("error") && $0.contains(path) })
            #expect(try text(path) == content)
        }
    }

    @Test(
        "a record of ours with a field that makes no sense is not guessed at",
        arguments: [
            ("\"never\"", "\"formatted\""), ("\"never\"", "\"formatted a b\""), ("\"never\"", "\"blank\""),
            ("\"never\"", "\"\""), ("\"creating\"", "\"created\""), ("\"fsdax\"", "\"devdax\""),
        ])
    func damaged(good: String, bad: String) async throws {
        try await withDirectory { directory in
            try open(directory).save(Self.record())
            let path = "\(directory)/state/\(Self.id).json"
            let content = try text(path)
            try #require(content.contains(good))
            try #require(unlink(path) == 0)
            try write(Array(content.replacing(good, with: bad).utf8), to: path)
            #expect(throws: DeviceError.self) { _ = try open(directory).record(Self.id) }
        }
    }

    @Test("other files in the directory are left alone")
    func otherFiles() async throws {
        try await withDirectory { directory in
            _ = try open(directory)
            let names = ["README", "README.tmp", "x.json", ".json", "\(Self.id)"]
            for name in names { try write([1], to: "\(directory)/state/\(name)") }
            let log = LogRecorder()
            let records = try open(directory, log)
            #expect(records.all == [])
            #expect(log.lines.filter { $0.hasPrefix("warning") }.count == 2)
            for name in names { #expect(access("\(directory)/state/\(name)", F_OK) == 0) }
        }
    }

    @Test("what a crash left of writing a record is gone with the next start")
    func unfinishedFiles() async throws {
        try await withDirectory { directory in
            _ = try open(directory)
            let path = "\(directory)/state/\(Self.id).json.tmp"
            try write([1], to: path)
            _ = try open(directory)
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test("a directory without a parent, or a file in its place, is an error that names it", arguments: [true, false])
    func noDirectory(isFile: Bool) async throws {
        try await withDirectory { directory in
            let path = isFile ? "\(directory)/file" : "\(directory)/a/b"
            if isFile { try write([1], to: path) }
            let error = #expect(throws: DeviceError.self) {
                _ = try VolumeRecords(directory: path, logger: LogRecorder().logger(.info))
            }
            #expect(error?.message.contains(path) == true)
        }
    }

    @Test("two drivers cannot share a directory")
    func lock() async throws {
        try await withDirectory { directory in
            let first = try open(directory)
            let error = #expect(throws: DeviceError.self) { _ = try open(directory) }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("\(directory)/state") == true)
            withExtendedLifetime(first) {}
        }
    }
}

@Suite struct ForeignRecordTests {
    private static let id = "pvc-8d-" + String(repeating: "0123456789abcd", count: 4)

    @Test(
        "a record of pmem-csi becomes one of ours",
        arguments: [
            ("{}", "", true, .fsdax), ("{\"name\":\"pvc-8d1\",\"eraseafter\":\"false\"}", "pvc-8d1", false, .fsdax),
            ("{\"eraseafter\":\"true\",\"deviceMode\":\"lvm\",\"_id\":\"x\"}", "", true, .fsdax),
            ("{\"eraseafter\":\"0\",\"nsmode\":\"sector\"}", "", false, .sector),
            ("{\"eraseafter\":\"\",\"persistencyModel\":\"cache\"}", "", true, .fsdax),
            ("{\"usage\":\"FileIO\",\"deviceMode\":\"direct\"}", "", true, .sector),
            ("{\"usage\":\"AppDirect\",\"deviceMode\":\"direct\"}", "", true, .fsdax),
            ("{\"usage\":\"\",\"deviceMode\":\"lvm\"}", "", true, .fsdax),
        ] as [(String, String, Bool, NamespaceMode)])
    func adopted(parameters: String, name: String, erase: Bool, mode: NamespaceMode) async throws {
        try await withDirectory { directory in
            let state = "\(directory)/state"
            #expect(mkdir(state, 0o750) == 0)
            let json = "{\"id\":\"\(Self.id)\",\"size\":4194304,\"parameters\":\(parameters)}"
            try write(Array(json.utf8), to: "\(state)/\(Self.id).json")
            let records = try VolumeRecords(directory: state, logger: LogRecorder().logger(.info))
            let record = try #require(records.all.first)
            #expect(record.id == Self.id && record.name == name && record.size == 4 << 20)
            #expect(record.parameters.eraseAfter == erase && record.parameters.mode == mode)
            #expect(record.phase == .ready && record.format == .unknown && record.location == nil)
            #expect(record.publication == nil && record.capabilities == [])
        }
    }
}
