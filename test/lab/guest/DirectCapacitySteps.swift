import CSIProto
import GRPCCore
import SwiftProtobuf

/// What GetCapacity says can be made, in pieces and to the last byte.
enum DirectCapacitySteps {
    private static let region = "region1"

    static let topic = Topic(
        title: "Capacity and fragmentation",
        steps: [
            Step("two of five volumes deleted: the sum fits, no gap does, and GetCapacity had said so") { lab in
                let volumes = try await five()
                return try await cleaning(volumes) { try await fragmented(lab, volumes) }
            },
            Step("a region is filled to its reported maximum, exactly, in both modes") { lab in
                var seen: [String] = []
                for mode in ["fsdax", "sector"] { seen.append(try await fill(lab, mode)) }
                return seen.joined(separator: "; ")
            },
            Step("no volume is smaller than asked for; limits are kept to", quick: false) { lab in
                var seen: [String] = []
                for (size, mode) in [
                    (1, "fsdax"), (14 * MiB, "fsdax"), (14 * MiB + 1, "fsdax"), (62 * MiB, "fsdax"),
                    (16 * MiB, "sector"),
                    (33 * MiB, "sector"), (1024 * MiB, "sector"), (1024 * MiB, "fsdax"),
                ] as [(UInt64, String)] {
                    let spec = VolumeSpec(name: "pvc-size-\(size)-\(mode)", size: size, mode: mode)
                    seen.append(
                        try await withVolume(spec) { volume in
                            try await DirectLifeSteps.checkNamespace(volume, mode: mode)
                            return "\(size) -> \(volume.bytes)"
                        })
                }
                var request = VolumeSpec(name: "pvc-limited", size: 64 * MiB).request
                request.capacityRange.limitBytes = Int64(65 * MiB)
                let refusal = try await refused(.outOfRange, "64 to 65 MiB") { try await lab.csi.create(request) }
                try await lab.checkNothingLeaked(expecting: [])
                return seen.joined(separator: ", ") + "; \(refusal.suffix(60))"
            },
        ])

    private static func spec(_ name: String, _ size: UInt64, _ mode: String = "fsdax") -> VolumeSpec {
        var spec = VolumeSpec(name: name, size: size, mode: mode)
        spec.parameters["region"] = region
        return spec
    }

    private static func capacity(_ mode: String = "fsdax") async throws -> (sum: UInt64, maximum: UInt64) {
        let request = Csi_V1_GetCapacityRequest.with { $0.parameters = ["nsmode": mode, "region": region] }
        let answer = try await CSI().controller { try await $0.getCapacity(request, options: CSI.options) }
        return (UInt64(answer.availableCapacity), UInt64(answer.maximumVolumeSize.value))
    }

    private static func five() async throws -> [Volume] {
        let (sum, _) = try await capacity()
        // A fifth, less what page maps and alignment of four more take.
        let size = sum / 5 - 32 * MiB
        var volumes: [Volume] = []
        for index in 1...5 {
            do {
                volumes.append(try await Volume.create(spec("pvc-piece-\(index)", size)))
            } catch {
                for volume in volumes { try? await volume.delete() }
                throw error
            }
        }
        return volumes
    }

    private static func cleaning<R>(_ volumes: [Volume], _ body: () async throws -> R) async throws -> R {
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        for volume in volumes { try? await volume.delete() }
        return try result.get()
    }

    private static func fragmented(_ lab: Lab, _ volumes: [Volume]) async throws -> String {
        let length = try lab.driver.logLength()
        for index in [1, 3] { try await volumes[index].delete() }
        let (sum, maximum) = try await capacity()
        let wanted = volumes[1].bytes + 16 * MiB
        try check(maximum < wanted && wanted <= sum, "maximum \(maximum), wanted \(wanted), sum \(sum)")
        let message = try await refused(.resourceExhausted, "\(wanted) bytes") {
            try await lab.csi.create(spec("pvc-too-large", wanted))
        }
        try check(message.contains("in 3 pieces"), "\"\(message)\" does not speak of the pieces")
        let shown = try await execute("\(lab.programs)/csictl", "regions").succeeded().text
        try check(shown.contains("\(region) ") && shown.contains("in 3 pieces"), "csictl regions: \(shown)")
        let notice = try lab.driver.lines(since: length).last { line in
            line.contains("the free space of a region is in pieces") && line.contains("region=\(region)")
        }
        try check(notice?.contains("pieces=3") == true, "the log does not speak of 3 pieces: \(notice ?? "")")
        try await lab.checkNothingLeaked(expecting: Set([0, 2, 4].map { volumes[$0].id }))
        try await withVolume(spec("pvc-fits", maximum)) { try checkEqual($0.bytes, maximum, "the largest that fits") }
        return
            "sum \(sum >> 20) MiB, largest \(maximum >> 20), asked for \(wanted >> 20): RESOURCE_EXHAUSTED; log and csictl"
            + " show 3 pieces"
    }

    private static func fill(_ lab: Lab, _ mode: String) async throws -> String {
        let before = try await capacity(mode)
        let volume = try await Volume.create(spec("pvc-whole-\(mode)", before.maximum, mode))
        return try await cleaningUp(volume) {
            try checkEqual(volume.bytes, before.maximum, "capacity_bytes and maximum_volume_size")
            try await DirectLifeSteps.checkNamespace(volume, mode: mode)
            let full = try await capacity(mode)
            try check(full.sum == 0 && full.maximum == 0, "capacity of the full region: \(full)")
            try checkEqual(try DirectView.free(region), 0, "free bytes of \(region)")
            try await refused(.resourceExhausted, "one more") {
                try await lab.csi.create(spec("pvc-one-more", 1, mode))
            }
            try await volume.delete()
            let after = try await capacity(mode)
            try check(after == before, "capacity afterwards: \(after), before: \(before)")
            return "\(mode) \(volume.bytes) bytes"
        }
    }
}
