import FoundationEssentials
import TestSupport
import Testing

@testable import LVM

/// How a run ends that lvm does not end itself: programs that hang or chatter in lvm's place.
@Suite(.timeLimit(.minutes(2))) struct LVMRunTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func lvm(_ script: String, timeout: Duration = .milliseconds(200)) throws -> LVM {
        let file = URL(filePath: "\(directory.path)/lvm-\(UUID())")
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        var settings = LVM.Settings()
        settings.executable = file.path
        settings.timeout = timeout
        settings.grace = .milliseconds(200)
        settings.outputLimit = 1 << 16
        return LVM(settings: settings)
    }

    @Test(arguments: ["exec sleep 1000", "trap '' TERM; while :; do sleep 0.05; done"])
    func `a run that does not end is stopped, at last by force`(script: String) async throws {
        let lvm = try lvm(script)
        let error = await #expect(throws: LVMError.self) { try await lvm.run(["vgs"]) }
        #expect(error?.code == .timedOut)
        #expect(error?.command == "vgs")
    }

    @Test func `a run that prints without end is stopped`() async throws {
        let lvm = try lvm("exec yes", timeout: .seconds(60))
        let error = await #expect(throws: LVMError.self) { try await lvm.run(["vgs"]) }
        #expect(error?.code == .failed)
    }

    @Test func `only standard output is data`() async throws {
        let output = try await lvm("echo data; echo warning >&2", timeout: .seconds(60)).run(["vgs"])
        #expect(output.stdout == "data\n")
        #expect(output.stderr == "warning\n")
    }

    @Test func `the settings follow the command's name`() async throws {
        let output = try await lvm("echo $1 $2; env", timeout: .seconds(60)).run(["vgs", "g0"])
        #expect(output.stdout.hasPrefix("vgs --config\n"))
        #expect(output.stdout.contains("\nLC_ALL=C\n"))
        #expect(output.stdout.contains("\nLVM_SUPPRESS_FD_WARNINGS=1\n"))
    }

    @Test func `a missing program is named`() async {
        var settings = LVM.Settings()
        settings.executable = "no-such-lvm"
        let lvm = LVM(settings: settings)
        let error = await #expect(throws: LVMError.self) { try await lvm.run(["vgs"]) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("no-such-lvm") == true)
    }

    @Test func `a cancelled caller leaves the run to its end`() async throws {
        let done = URL(filePath: "\(directory.path)/done")
        let lvm = try lvm("sleep 0.2; touch \(done.path)", timeout: .seconds(60))
        let caller = Task { try await lvm.run(["lvcreate"]) }
        caller.cancel()
        _ = try await caller.value
        #expect(FileManager.default.fileExists(atPath: done.path))
    }
}
