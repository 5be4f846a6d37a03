import FoundationEssentials
import GRPCCore
import Glibc

/// Volumes over iSCSI, of tgt.
enum RemoteISCSISteps {
    private static let uuid = "90000000-0000-4000-8000-000000000000"
    private static let iqn = "iqn.2016-06.io.spdk:\(uuid)"
    private static let file = "/run/lab/targets/\(uuid)"

    static let topic = Topic(
        title: "iSCSI",
        steps: [
            Step("a target of tgt, and iscsid", essential: true) { _ in
                try await startDaemons(withTarget: true)
                try Kernel.makeDirectories("/run/lab/targets")
                try Kernel.write("", to: file)
                guard truncate(file, off_t(64 * MiB)) == 0 else { throw Kernel.failure("resize", file) }
                _ = try await admin("target", "new", ["--tid", "1", "--targetname", iqn]).succeeded()
                _ = try await admin("logicalunit", "new", ["--tid", "1", "--lun", "1", "-b", file]).succeeded()
                _ = try await admin("target", "bind", ["--tid", "1", "-I", "ALL"]).succeeded()
                return iqn
            },
            Step("a life: no discovery, and nothing is left of it, not in iscsiadm's database either") { lab in
                let volume = volume
                try await volume.up()
                try await volume.stage()
                let mount = try Kernel.mounts(at: volume.targetPath)
                try check(mount.count == 1 && mount[0].source.hasPrefix("/dev/sd"), "\(mount)")
                try Kernel.write("kept", to: "\(volume.targetPath)/file")
                let discovered = try await execute("iscsiadm", "-m", "discoverydb")
                try check(discovered.status == 21, "discoveries: \(discovered.text)")
                try await volume.down()
                try await volume.unstage()
                try await checkNoISCSI(lab)
                try await volume.up()
                try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "kept", "the file")
                try await volume.down()
                try await checkNoISCSI(lab)
                return "\(mount[0].source)"
            },
            Step("it grows while it is mounted", quick: false) { lab in
                let volume = volume
                try await volume.up()
                try await growTarget()
                try checkEqual(try await volume.expand(to: 128 * MiB), 128 * MiB, "capacity_bytes")
                let size = try Kernel.size(ofFileSystemAt: volume.targetPath)
                try check(size > 110 * MiB, "the file system has \(size) bytes")
                try await volume.down()
                try await checkNoISCSI(lab)
                return mebibytes(size)
            },
            Step("kill -9 as soon as there is a session: the start ends it") { lab in
                let volume = volume
                let running = Task { try await volume.stage() }
                try await eventually("a session", within: .seconds(30)) { try !sessions().isEmpty }
                try await lab.driver.crash()
                let isCut = if case .failure = await running.result { true } else { false }
                // The daemon, which the kill did not meet, may still be logging in.
                try await eventually("no iscsiadm", within: .seconds(30)) {
                    try await execute("pgrep", "-x", "iscsiadm").status != 0
                }
                try await lab.driver.start()
                try await volume.unstage()
                try await checkNoISCSI(lab)
                try await volume.up()
                try await volume.down()
                try await checkNoISCSI(lab)
                return isCut ? "cut off" : "the call had ended already"
            },
            Step("a target that is not there: UNAVAILABLE, and no record in iscsiadm's database", quick: false) { lab in
                var volume = volume
                volume.context["iqn"] = "iqn.2016-06.io.spdk:other"
                try await refused(.unavailable, "NodeStageVolume") { try await volume.stage() }
                try await checkNoISCSI(lab)
                return "UNAVAILABLE"
            },
        ])

    static func startDaemons(withTarget: Bool) async throws {
        try Kernel.makeDirectories("/run/lock/iscsi")
        for module in ["iscsi_tcp", "sd_mod"] { _ = try await execute("modprobe", module).succeeded() }
        _ = try await execute("iscsid").succeeded()
        guard withTarget else { return }
        _ = try await execute("tgtd").succeeded()
        try await eventually("tgtd answers", within: .seconds(20)) {
            try await admin("target", "show", []).status == 0
        }
    }

    private static var volume: RemoteVolume {
        RemoteVolume(
            id: "storage-1:\(uuid)",
            context: [
                "targetType": "iscsi", "targetAddr": "127.0.0.1", "targetPort": "3260", "iqn": iqn, "lvstore": "lvs0",
            ])
    }

    private static func admin(_ mode: String, _ operation: String, _ rest: [String]) async throws -> Output {
        try await execute(["tgtadm", "--lld", "iscsi", "--mode", mode, "--op", operation] + rest)
    }

    /// tgt looks at its file's size only when it opens it.
    private static func growTarget() async throws {
        guard truncate(file, off_t(128 * MiB)) == 0 else { throw Kernel.failure("resize", file) }
        let unit = ["--tid", "1", "--lun", "1"]
        _ = try await admin("logicalunit", "update", unit + ["--params", "online=0"]).succeeded()
        _ = try await admin("logicalunit", "update", unit + ["--params", "path=\(file)"]).succeeded()
        _ = try await admin("logicalunit", "update", unit + ["--params", "online=1"]).succeeded()
    }

    private static func sessions() throws -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: "/sys/class/iscsi_session")) ?? []
    }

    static func checkNoISCSI(_ lab: Lab) async throws {
        try lab.checkNothingRemote()
        let records = try await execute("iscsiadm", "-m", "node")
        try check(records.status == 21, "iscsiadm's records: \(records.text)")
    }
}
