import GRPCCore
import Glibc

/// Connections that are lost while a volume is in use.
enum RemotePathSteps {
    static let topic = Topic(
        title: "Lost connections",
        steps: [
            Step("one of two paths is cut under a writer, then comes back") { lab in
                try await RemoteLifeSteps.withSubsystem(1) { subsystem in try await cut(lab, subsystem) }
            },
            Step("the target ends under a writer and is back after a while: no error, only waiting") { lab in
                try await RemoteLifeSteps.withSubsystem(2) { subsystem in try await restart(lab, subsystem) }
            },
            Step("a path that was not there when the volume was staged is connected later") { lab in
                try await RemoteLifeSteps.withSubsystem(3) { subsystem in
                    let volume = RemoteLifeSteps.volume(subsystem)
                    try await NVMeTarget.cut(1)
                    try await volume.stage()
                    try checkEqual(try lab.controllers(of: subsystem.nqn).count, 1, "connections")
                    try await NVMeTarget.connect(1)
                    let start = ContinuousClock.now
                    try await live(lab, subsystem, 2)
                    let took = milliseconds(since: start)
                    try await volume.unstage()
                    try lab.checkNothingRemote()
                    return "after \(took) ms"
                }
            },
            Step("a volume whose target is gone for good comes down, and can be staged again", quick: false) { lab in
                try await RemoteLifeSteps.withSubsystem(4) { subsystem in try await loss(lab, subsystem) }
            },
        ])

    private static func live(_ lab: Lab, _ subsystem: NVMeTarget.Subsystem, _ count: Int) async throws {
        try await eventually("\(count) live connections", within: .seconds(60)) {
            try lab.controllers(of: subsystem.nqn).filter { $0.state == "live" }.count == count
        }
    }

    private static func cut(_ lab: Lab, _ subsystem: NVMeTarget.Subsystem) async throws -> String {
        let volume = RemoteLifeSteps.volume(subsystem)
        try await volume.up()
        let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
        try await NVMeTarget.cut(0)
        try await live(lab, subsystem, 1)
        try await writer.moves()
        try await NVMeTarget.connect(0)
        try await live(lab, subsystem, 2)
        try await writer.moves()
        let seen = try await writer.stop()
        try await volume.down()
        try lab.checkNothingRemote()
        return "\(seen.count) numbers, none lost; one waited \(seen.longest) ms"
    }

    private static func restart(_ lab: Lab, _ subsystem: NVMeTarget.Subsystem) async throws -> String {
        let volume = RemoteLifeSteps.volume(subsystem)
        try await volume.up()
        let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
        try NVMeTarget.withdraw(subsystem)
        try await eventually("no live connection", within: .seconds(30)) {
            try lab.controllers(of: subsystem.nqn).allSatisfy { $0.state != "live" }
        }
        try await Task.sleep(for: .seconds(3))
        let start = ContinuousClock.now
        try NVMeTarget.export(subsystem)
        try await live(lab, subsystem, 2)
        let took = milliseconds(since: start)
        try await writer.moves()
        let seen = try await writer.stop()
        try await volume.down()
        try lab.checkNothingRemote()
        return "both back after \(took) ms; \(seen.count) numbers, none lost; one waited \(seen.longest) ms"
    }

    private static func loss(_ lab: Lab, _ subsystem: NVMeTarget.Subsystem) async throws -> String {
        var volume = RemoteLifeSteps.volume(subsystem)
        volume.context["ctrlLossTimeout"] = "4"
        try await volume.up()
        try NVMeTarget.withdraw(subsystem)
        try await eventually("the kernel gives up", within: .seconds(60)) {
            try lab.controllers(of: subsystem.nqn).isEmpty
        }
        try check(try Kernel.mounts(at: volume.targetPath).count == 1, "the mount went away by itself")
        try NVMeTarget.export(subsystem)
        // Its old device is dead, even though the target is back.
        try await refused(.failedPrecondition, "NodeStageVolume over the dead mount") { try await volume.stage() }
        try await volume.down()
        try lab.checkNothingRemote()
        try await volume.up()
        try Kernel.write("x", to: "\(volume.targetPath)/file")
        try await volume.down()
        try lab.checkNothingRemote()
        return "unmounted, and staged anew"
    }
}
