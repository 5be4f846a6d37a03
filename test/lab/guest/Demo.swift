import ArgumentParser
import CSIProto
import LVM
import SwiftProtobuf

/// A volume's life, told to somebody who sees it for the first time; exits with 1 where it ends early.
struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "demo", abstract: "A volume's life, step by step.")

    @OptionGroup var place: Place

    func run() async throws {
        let lab = try await place.lab()
        do {
            try await prepare(lab)
            let free = try await lab.free(mode: "fsdax")
            try await live(lab)
            try await prove(lab, free: free)
        } catch {
            say("\n  It ended here: \(text(of: error))\n  The driver's log: \(lab.driver.log)")
            _ = try? await lab.driver.stop()
            throw ExitCode(1)
        }
        try await lab.driver.stop()
        say("\nThat was a volume's whole life on persistent memory, and nothing of it is left.")
    }

    private func prepare(_ lab: Lab) async throws {
        say("This machine is a guest with two emulated NVDIMMs of 4 GiB. They are empty.\n")
        tell("pmem-ns-init divides them into namespaces", try await lab.tool("pmem-ns-init", []).succeeded())
        let namespaces = try await NamespaceSteps.namespaces().sorted { $0.dev < $1.dev }
        for namespace in namespaces {
            say(
                "      /dev/\(namespace.blockdev ?? "")  \(namespace.mode)  \(mebibytes(namespace.size))"
            )
        }
        tell("pmem-vgm makes LVM volume groups of them", try await lab.tool("pmem-vgm", []).succeeded())
        for group in try await lab.groups() { say("      \(group.name)  \(mebibytes(group.free)) free") }
        let ready = try await lab.driver.start()
        say("\n  pmem-csi-driver starts and is ready\(space(33))\(seconds(ready))")
    }

    private func live(_ lab: Lab) async throws {
        let spec = VolumeSpec(name: "my-first-volume", size: 256 * MiB, erase: true)
        let client = Client(lab: lab)
        say("\nNow what Kubernetes would ask for a pod, with util/csictl (the times are those of the driver):\n")
        let answer = try await client.call(
            "a volume of 256 MiB is made", "CreateVolume", try spec.request.jsonString())
        let id = try Self.id(in: answer)
        let volume = Volume(spec, .with { $0.volumeID = id })
        try Kernel.makeDirectories(volume.stagePath)
        try Kernel.makeDirectories("\(volume.directory)/pod")
        let (mount, word) = (try capability().jsonString(), "\"volume_id\": \"\(id)\"")
        let stage = "\"staging_target_path\": \"\(volume.stagePath)\""
        let target = "\"target_path\": \"\(volume.targetPath)\""
        let node = "\"node_id\": \"\(Driver.node)\""
        try await client.call(
            "this machine may use it", "ControllerPublishVolume", "{\(word), \(node), \"volume_capability\": \(mount)}")
        try await client.call(
            "it gets a file system and is mounted with DAX", "NodeStageVolume",
            "{\(word), \(stage), \"volume_capability\": \(mount)}")
        try await client.call(
            "the pod sees it", "NodePublishVolume", "{\(word), \(stage), \(target), \"volume_capability\": \(mount)}")
        try await use(volume)
        try await client.call("the pod ends", "NodeUnpublishVolume", "{\(word), \(target)}")
        try await client.call("it is unmounted", "NodeUnstageVolume", "{\(word), \(stage)}")
        try await client.call("the machine gives it back", "ControllerUnpublishVolume", "{\(word), \(node)}")
        try await client.call("it is overwritten with zeroes and removed", "DeleteVolume", "{\(word)}")
    }

    private func use(_ volume: Volume) async throws {
        guard let mount = try Kernel.mounts(at: volume.targetPath).first else { throw Failure("nothing is mounted") }
        say("      /proc/mounts: \(mount.type) \(mount.options.joined(separator: ","))")
        try DirectAccess.writeSynchronously("Hello, persistent memory.", to: "\(volume.targetPath)/hello")
        say(
            "      a file, written through MAP_SYNC: \(try Kernel.read("\(volume.targetPath)/hello"))"
        )
        let faults = try DirectAccess.touch("\(volume.targetPath)/huge", pieces: 8)
        say("      mapping 16 MiB takes \(faults.huge) huge pages of 2 MiB")
    }

    private func prove(_ lab: Lab, free: UInt64) async throws {
        try await lab.checkNothingLeaked(expecting: [])
        try checkEqual(try await lab.free(mode: "fsdax"), free, "free space")
        let mounts = try Kernel.mounts().filter { $0.point.hasPrefix("/run/lab/volumes") }
        try check(mounts.isEmpty, "mounts are left: \(mounts)")
        say("\nWhat remains: 0 logical volumes, 0 records, 0 mounts; all \(mebibytes(free)) are free again.")
    }

    private static func id(in answer: String) throws -> String {
        try Csi_V1_CreateVolumeResponse(jsonString: answer).volume.volumeID
    }

    private func tell(_ what: String, _ output: Output) {
        say("  \(pad(what, 72)) \(seconds(output.milliseconds))")
    }

    private func space(_ count: Int) -> String { String(repeating: " ", count: count) }
}

func seconds(_ milliseconds: Int64) -> String {
    let tenths = (milliseconds + 50) / 100
    return pad("\(tenths / 10).\(tenths % 10) s", 7, left: true)
}

/// `csictl` as a person would use it, one process per call.
struct Client {
    let lab: Lab

    @discardableResult
    func call(_ what: String, _ method: String, _ request: String) async throws -> String {
        let before = try Metrics.milliseconds(in: method)
        let output = try await execute(
            "\(lab.programs)/csictl", "-endpoint", "unix://\(Driver.socket)", method, request)
        let time = try Metrics.milliseconds(in: method) - before
        say("  \(pad(what, 46)) \(pad(method, 25)) \(seconds(time))")
        let answer = try output.succeeded().text
        let line = answer.split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: " ")
        if line != "{}" { say("      \(line.prefix(160))\(line.count > 160 ? "…" : "")") }
        return answer
    }
}
