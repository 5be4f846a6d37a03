import ArgumentParser
import CSIProto
import GRPCCore
import Registry
import SwiftProtobuf

/// Each call of a volume's life on namespaces, on LVM and on files, one after the other on the same region; prints the
/// table of docs/lvm-or-direct.md.
struct Comparison: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Direct mode, LVM and files: times of the calls, bytes out of a region.")

    @OptionGroup var place: Place

    @Option(help: "Lives of which the median is taken.")
    var rounds = 5

    private static let size = 256 * MiB
    private static let files = "/run/lab/files"

    func run() async throws {
        var columns: [(String, Measurement)] = []
        columns.append(("direct", try await measure("direct", mode: "fsdax")))
        try await withFiles { columns.append(("files", try await measure("file", mode: ""))) }
        let lab = try await place.lab()
        _ = try await lab.tool("pmem-ns-init", []).succeeded()
        _ = try await lab.tool("pmem-vgm", []).succeeded()
        columns.append(("LVM", try await measure("lvm", mode: "fsdax")))
        printTable(columns)
    }

    private func printTable(_ columns: [(String, Measurement)]) {
        func row(_ cells: [String]) { say("| " + cells.joined(separator: " | ") + " |") }
        row(["ms, median of \(rounds)"] + columns.map(\.0))
        row(["---"] + columns.map { _ in "---:" })
        for call in columns.first?.1.calls ?? [] {
            row([call] + columns.map { "\($0.1.median(call))" })
        }
        row(["largest volume out of a region, bytes"] + columns.map { "\($0.1.largest)" })
    }

    private func measure(_ manager: String, mode: String) async throws -> Measurement {
        let records = manager == "file" ? "\(Self.files)/state" : "/run/lab/state-\(manager)"
        let lab = try await place.lab(manager: manager, records: records)
        try await lab.driver.start()
        var measurement = Measurement()
        do {
            for round in 0..<rounds {
                let spec = VolumeSpec(name: "pvc-\(manager)-\(round)", size: Self.size, mode: mode)
                try await live(spec, &measurement)
            }
            let maximum = UInt64(try await largest(mode))
            let volume = try await Volume.create(VolumeSpec(name: "pvc-largest", size: maximum, mode: mode))
            measurement.largest = volume.bytes
            try await volume.delete()
        } catch {
            _ = try? await lab.driver.stop()
            throw error
        }
        try await lab.driver.stop()
        return measurement
    }

    /// Of file volumes nsmode says nothing.
    private func largest(_ mode: String) async throws -> Int64 {
        let request = Csi_V1_GetCapacityRequest.with { if !mode.isEmpty { $0.parameters = ["nsmode": mode] } }
        return try await CSI().controller { try await $0.getCapacity(request, options: CSI.options) }
            .maximumVolumeSize.value
    }

    private func live(_ spec: VolumeSpec, _ measurement: inout Measurement) async throws {
        var spec = spec
        let volume = try await measurement.time("CreateVolume") { try await Volume.create(spec) }
        try await cleaningUp(volume) {
            try await measurement.time("GetCapacity") { _ = try await largest(spec.mode) }
            try await measurement.time("ListVolumes") { _ = try await CSI().ids() }
            try await measurement.time("ControllerPublishVolume") { try await volume.controllerPublish() }
            try await measurement.time("NodeStageVolume, with mkfs.ext4") { try await volume.stage() }
            try await measurement.time("NodePublishVolume") { try await volume.publish() }
            try await measurement.time("NodeUnpublishVolume") { try await volume.unpublish() }
            try await measurement.time("NodeUnstageVolume") { try await volume.unstage() }
            try await measurement.time("NodeStageVolume, again") { try await volume.stage() }
            try await volume.unstage()
            try await measurement.time("ControllerUnpublishVolume") { try await volume.controllerUnpublish() }
            let snapshot = try await measurement.time("CreateSnapshot, of 256 MiB at rest") {
                try await CSI().createSnapshot("snap-\(spec.name)", of: volume.id).snapshotID
            }
            try await CSI().deleteSnapshot(snapshot)
            try await measurement.time("DeleteVolume, eraseafter false") { try await volume.delete() }
        }
        (spec.name, spec.erase) = (spec.name + "-erased", true)
        let erased = try await Volume.create(spec)
        try await measurement.time("DeleteVolume, eraseafter true, 256 MiB") { try await erased.delete() }
    }

    /// ext4 on a namespace of the whole region, as an administrator would have it for file volumes.
    private func withFiles(_ body: () async throws -> Void) async throws {
        _ = try await execute("modprobe", "loop").succeeded()
        _ = try await execute("ndctl", "create-namespace", "-r", "region0", "-m", "fsdax", "-n", "files").succeeded()
        guard let device = try await DirectView.namespaces(named: "files").first else { throw Failure("no namespace") }
        let path = "/dev/\(device.blockdev ?? "")"
        _ = try await execute("mkfs.ext4", "-q", "-F", "-m", "0", path).succeeded()
        try Kernel.makeDirectories(Self.files)
        _ = try await execute("mount", path, Self.files).succeeded()
        try await body()
        _ = try await execute("umount", Self.files).succeeded()
        _ = try await execute("ndctl", "destroy-namespace", "-f", device.dev).succeeded()
    }
}

/// The times of each call, in milliseconds, in the order in which the calls came first.
private struct Measurement {
    private(set) var calls: [String] = []
    private var times: [String: [Int64]] = [:]
    var largest: UInt64 = 0

    mutating func time<R>(_ call: String, _ body: () async throws -> R) async throws -> R {
        let start = ContinuousClock.now
        let result = try await body()
        if times[call] == nil { calls.append(call) }
        times[call, default: []].append(milliseconds(since: start))
        return result
    }

    func median(_ call: String) -> Int64 {
        let sorted = (times[call] ?? []).sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }
}
