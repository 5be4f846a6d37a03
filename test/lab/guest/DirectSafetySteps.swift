import CSIProto
import FoundationEssentials
import GRPCCore
import Glibc
import SwiftProtobuf

/// What is not ours, not usable, or in use.
enum DirectSafetySteps {
    /// Has the form of our ids, but no record.
    private static let lookalike = "look-0123456789abcdef0123456789abcdef-0123456789"

    static let topic = Topic(
        title: "Foreign namespaces, regions that cannot be used, volumes in use",
        steps: [
            Step("a namespace with a volume's name and no record is neither listed nor destroyed") { lab in
                try await leftAlone(lab)
            },
            Step("deletion while mounted, and while a program has the device open, is refused", quick: false) { lab in
                try await inUse(lab)
            },
            Step("a namespace that somebody disabled is enabled when it is staged", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-disabled")) { volume in
                    try await volume.write("there")
                    let devname = try await DirectView.namespace(volume).dev
                    _ = try await execute("ndctl", "disable-namespace", devname).succeeded()
                    try checkEqual(try await volume.read().text, "there", "the file")
                    return devname
                }
            },
            Step("a read-only region is left alone, and said so", quick: false) { lab in
                let before = try await lab.csi.free()
                try DirectView.set("read_only", of: "region1", to: "1")
                let result: Result<String, any Error>
                do { result = .success(try await unusable(lab, before, "read-only")) } catch {
                    result = .failure(error)
                }
                try DirectView.set("read_only", of: "region1", to: "0")
                try checkEqual(try await lab.csi.free(), before, "available_capacity afterwards")
                return try result.get()
            },
            Step("a disabled region keeps its volumes: UNAVAILABLE, and all is back with it", quick: false) { lab in
                try await disabled(lab)
            },
            Step("/sys mounted read-only is said by Probe", quick: false) { lab in try await readOnlySysfs(lab) },
            Step("a volume of -deviceManager=file is listed and deleted through that, and nothing else") { lab in
                try await otherManager(lab)
            },
            Step("the foreign namespace of the beginning is what it was") { lab in
                let found = try await DirectStartSteps.foreign()
                try check(found?.mode == "fsdax" && found?.size == 124 * MiB, "\(String(describing: found))")
                return found?.dev ?? ""
            },
        ])

    private static func leftAlone(_ lab: Lab) async throws -> String {
        _ = try await execute(
            "ndctl", "create-namespace", "-r", "region0", "-m", "fsdax", "-s", "64M", "-n", lookalike
        )
        .succeeded()
        let made = try await DirectView.namespaces(named: lookalike)
        let result: Result<String, any Error>
        do {
            try check(try await !lab.csi.ids().contains(lookalike), "it is listed")
            let message = try await refused(.failedPrecondition, "its deletion") { try await lab.csi.delete(lookalike) }
            try await lab.driver.stop()
            try await lab.driver.start()
            try checkEqual(try await DirectView.namespaces(named: lookalike), made, "the namespace after a restart")
            result = .success(message)
        } catch {
            result = .failure(error)
        }
        for namespace in made { _ = try await execute("ndctl", "destroy-namespace", "-f", namespace.dev).succeeded() }
        return try result.get()
    }

    private static func inUse(_ lab: Lab) async throws -> String {
        try await withVolume(VolumeSpec(name: "pvc-used", erase: true)) { volume in
            try await volume.up()
            try Kernel.write("precious", to: "\(volume.targetPath)/file")
            try await refused(.failedPrecondition, "deletion while published") { try await volume.delete() }
            try await volume.controllerUnpublish()
            let mounted = try await refused(.failedPrecondition, "deletion while mounted") { try await volume.delete() }
            try await volume.controllerPublish()
            try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "precious", "the file")
            try await volume.down()
            let device = try await DirectView.device(volume)
            let opened = try await withProgram("sh", "-c", "exec sleep 1000 < \(device)") { _ in
                try await Task.sleep(for: .milliseconds(500))
                return try await refused(.failedPrecondition, "deletion while open") { try await volume.delete() }
            }
            try checkEqual(try await volume.read().text, "precious", "the file")
            return "\(mounted.suffix(50)); \(opened.suffix(70))"
        }
    }

    private static func unusable(_ lab: Lab, _ before: UInt64, _ word: String) async throws -> String {
        let now = try await lab.csi.free()
        try check(now < before, "available_capacity is \(now), before it was \(before)")
        var spec = VolumeSpec(name: "pvc-unusable")
        spec.parameters["region"] = "region1"
        let message = try await refused(.resourceExhausted, "a volume in region1") { try await lab.csi.create(spec) }
        try check(message.contains(word), "\"\(message)\" does not say \(word)")
        try await lab.driver.stop()
        let length = try lab.driver.logLength()
        try await lab.driver.start()
        let warning = try lab.driver.lines(since: length).first { line in
            line.contains("a region is not used") && line.contains("region=region1")
        }
        try check(warning?.contains(word) == true, "the log of the start does not say \(word): \(warning ?? "")")
        return String(message.suffix(160))
    }

    private static func disabled(_ lab: Lab) async throws -> String {
        var spec = VolumeSpec(name: "pvc-away")
        spec.parameters["region"] = "region1"
        return try await withVolume(spec) { volume in
            try await volume.write("away")
            let free = try await lab.csi.free()
            _ = try await execute("ndctl", "disable-region", "region1").succeeded()
            let result: Result<String, any Error>
            do {
                try check(try await lab.csi.free() < free, "the disabled region's room is still offered")
                try checkEqual(try await lab.csi.ids(), [volume.id], "volumes listed meanwhile")
                result = .success(
                    try await refused(.unavailable, "its deletion meanwhile") { try await volume.delete() })
            } catch { result = .failure(error) }
            _ = try await execute("ndctl", "enable-region", "region1").succeeded()
            try checkEqual(try await volume.read().text, "away", "the file")
            return try result.get()
        }
    }

    private static func readOnlySysfs(_ lab: Lab) async throws -> String {
        try await lab.driver.stop()
        let script = "mount -o remount,bind,ro /sys && exec \"$@\""
        let arguments = lab.driver.arguments(endpoint: "unix://\(Driver.socket)", records: lab.driver.records)
        let child = try Child.start(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", lab.driver.program]
                + arguments,
            output: lab.driver.log)
        var said = ""
        let result: Result<Void, any Error>
        do {
            try await eventually("Probe says it", within: .seconds(30)) {
                do {
                    _ = try await lab.csi.identity { try await $0.probe(.init(), options: CSI.options) }
                } catch let error as RPCError where error.code == .failedPrecondition {
                    said = error.message
                } catch is RPCError {}
                return said.contains("/sys is mounted read-only")
            }
            result = .success(())
        } catch { result = .failure(error) }
        child.signal(SIGTERM)
        _ = try await child.wait(atMost: .seconds(30))
        try await lab.driver.start()
        try result.get()
        return said
    }

    /// The same state directory, first with one manager, then with the other.
    private static func otherManager(_ lab: Lab) async throws -> String {
        let spec = VolumeSpec(name: "pvc-of-files", isThin: true)
        let volume = try await lab.driver.with(flags: "-deviceManager=file") { try await Volume.create(spec) }
        return try await cleaningUp(volume) {
            let file = "\(lab.driver.records)/thin/\(volume.id)"
            try check(Kernel.exists(file), "no file \(file)")
            try checkEqual(try await lab.csi.ids(), [volume.id], "volumes listed")
            try await refused(.failedPrecondition, "publishing") { try await volume.controllerPublish() }
            let message = try await refused(.failedPrecondition, "staging") { try await volume.stage() }
            var clone = volume.clone("pvc-clone-of-file")
            clone.isThin = false
            try await refused(.failedPrecondition, "cloning") { [clone] in try await Volume.create(clone) }
            try check(Kernel.exists(file), "the file is gone")
            try await volume.delete()
            try check(!Kernel.exists(file), "the file is left")
            try await lab.checkNothingLeaked(expecting: [])
            return message
        }
    }
}
