import FoundationEssentials
import Glibc

/// `kill -9` of the driver between the steps of staging and unstaging: by strace at a system call, or as soon as the
/// kernel or the record shows something.
enum RemoteCrashSteps {
    static let topic = Topic(
        title: "kill -9 of the driver",
        steps: calls.map { call in
            Step(
                "at \(call.name): nothing is left after the start, or after the repeated call", quick: call.isQuick
            ) { lab in
                try await RemoteLifeSteps.withSubsystem(1) { subsystem in try await kill(lab, subsystem, at: call) }
            }
        }
            + sights.map { sight in
                Step("as soon as \(sight.name): the life goes on, and leaves nothing", quick: false) { lab in
                    try await RemoteLifeSteps.withSubsystem(2) { subsystem in
                        try await kill(lab, subsystem, seeing: sight)
                    }
                }
            }
            + [
                Step("while it is staged: the writer does not notice") { lab in
                    try await RemoteLifeSteps.withSubsystem(3) { subsystem in try await killStaged(lab, subsystem) }
                }
            ])

    /// A system call that is not made any more.
    struct Call: Sendable {
        let name: String
        let call: String
        var path: String?
        var isUnstage = false
        /// Whether the start alone, without another call, leaves nothing.
        var isTakenBack = true
        var isQuick = false
    }

    private static let calls = [
        Call(name: "the first record", call: "rename,renameat,renameat2"),
        Call(name: "asking for a connection", call: "write", path: "/dev/nvme-fabrics"),
        Call(name: "a connection just made", call: "read", path: "/dev/nvme-fabrics", isQuick: true),
        Call(name: "the mount", call: "mount"),
        Call(name: "the unmount", call: "umount2", isUnstage: true, isTakenBack: false),
        Call(name: "ending a connection", call: "write", path: "/sys/class/nvme", isUnstage: true, isQuick: true),
        Call(name: "forgetting the record", call: "unlink,unlinkat", isUnstage: true),
    ]

    private static func kill(_ lab: Lab, _ subsystem: NVMeTarget.Subsystem, at call: Call) async throws -> String {
        let volume = RemoteLifeSteps.volume(subsystem)
        if call.isUnstage {
            try await volume.stage()
            try Kernel.write("kept", to: "\(volume.stagePath)/file")
        }
        try await lab.driver.stop()
        try await lab.driver.start(prefix: strace(call, try lab.controllers(of: subsystem.nqn).first?.name, lab))
        do {
            if call.isUnstage { try await volume.unstage() } else { try await volume.stage() }
            throw Failure("the call succeeded, so nothing was killed")
        } catch let failure as Failure { throw failure } catch {}
        try await lab.driver.waitForEnd()
        lab.driver.note("==== killed by strace")
        let left = try lab.remoteLeftovers().count
        try await lab.driver.start()
        if call.isTakenBack { try lab.checkNothingRemote() }
        // And the caller comes again, first with the same call.
        if call.isUnstage {
            try await volume.unstage()
            try lab.checkNothingRemote()
        }
        try await volume.stage()
        if call.isUnstage { try checkEqual(try Kernel.read("\(volume.stagePath)/file"), "kept", "the file") }
        try await volume.unstage()
        try lab.checkNothingRemote()
        return "\(left) things left by the kill, none after"
    }

    /// The signal comes instead of the call.
    private static func strace(_ call: Call, _ controller: String?, _ lab: Lab) -> [String] {
        var path = call.path
        if path == "/sys/class/nvme" { path = "/sys/class/nvme/\(controller ?? "nvme0")/delete_controller" }
        return ["strace", "-f", "-qq", "-o", "\(lab.shared)/strace.log"] + (path.map { ["-P", $0] } ?? [])
            + ["-e", "trace=\(call.call)", "-e", "inject=\(call.call):signal=SIGKILL:when=1"]
    }

    struct Sight: Sendable {
        let name: String
        var isUnstage = false
        let isSeen: @Sendable (Lab, RemoteVolume, NVMeTarget.Subsystem) throws -> Bool
    }

    private static let sights = [
        Sight(name: "there is a record") { lab, _, _ in try !record(lab).isEmpty },
        Sight(name: "a path is connected") { lab, _, subsystem in try !lab.controllers(of: subsystem.nqn).isEmpty },
        Sight(name: "mkfs begins") { lab, _, _ in try record(lab).contains("formatting ext4") },
        Sight(name: "mkfs has ended") { lab, _, _ in try record(lab).contains("formatted ext4") },
        Sight(name: "it is mounted") { _, volume, _ in try !Kernel.mounts(at: volume.stagePath).isEmpty },
        Sight(name: "it is unmounted", isUnstage: true) { _, volume, _ in
            try Kernel.mounts(at: volume.stagePath).isEmpty
        },
        Sight(name: "a path is disconnected", isUnstage: true) { lab, _, subsystem in
            try lab.controllers(of: subsystem.nqn).count < 2
        },
    ]

    private static func record(_ lab: Lab) throws -> String {
        let names = try FileManager.default.contentsOfDirectory(atPath: lab.driver.records)
        return names.filter { $0.hasSuffix(".json") }.compactMap { try? Kernel.read("\(lab.driver.records)/\($0)") }
            .joined()
    }

    private static func kill(_ lab: Lab, _ subsystem: NVMeTarget.Subsystem, seeing sight: Sight) async throws -> String
    {
        let volume = RemoteLifeSteps.volume(subsystem)
        if sight.isUnstage { try await volume.stage() }
        let running = Task {
            if sight.isUnstage { try await volume.unstage() } else { try await volume.stage() }
        }
        let end = ContinuousClock.now + .seconds(30)
        while try !sight.isSeen(lab, volume, subsystem), ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(1))
        }
        try await lab.driver.crash()
        let isCut = if case .failure = await running.result { true } else { false }
        try await lab.driver.start()
        let left = try lab.remoteLeftovers().count
        if sight.isUnstage { try await volume.unstage() }
        try await volume.up()
        try await volume.down()
        try lab.checkNothingRemote()
        return isCut ? "cut off; \(left) things there after the start" : "the call had ended already"
    }

    private static func killStaged(_ lab: Lab, _ subsystem: NVMeTarget.Subsystem) async throws -> String {
        let volume = RemoteLifeSteps.volume(subsystem)
        try await volume.up()
        let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
        try await lab.driver.crash()
        try await lab.driver.start()
        try await writer.moves()
        try checkEqual(try lab.controllers(of: subsystem.nqn).count, 2, "connections")
        let seen = try await writer.stop()
        try await volume.down()
        try lab.checkNothingRemote()
        return "\(seen.count) numbers; one waited \(seen.longest) ms"
    }
}
