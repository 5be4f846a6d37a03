import CSIProto
import GRPCCore
import LVM
import SwiftProtobuf

/// Space: what GetCapacity says can be made, a full group, and what lvm is run for.
enum CapacitySteps {
    static let topic = Topic(
        title: "Capacity and figures",
        steps: [
            Step("one lvm run creates, one deletes, nothing else runs any") { lab in
                let runs = try await Self.runs(VolumeSpec(name: "pvc-counted"))
                for (call, commands) in runs {
                    let expected = ["CreateVolume": 1, "DeleteVolume": 1][call] ?? 0
                    try checkEqual(commands.values.reduce(0, +), expected, "lvm runs of \(call) \(commands)")
                }
                return "1 CreateVolume, 1 DeleteVolume, 0 in \(runs.count - 2) other calls"
            },
            Step("sizes are rounded up to extents and keep to the limit", quick: false) { lab in
                var request = VolumeSpec(name: "pvc-rounded", size: 10 * MiB + 1).request
                request.capacityRange.limitBytes = Int64(12 * MiB)
                let volume = Volume(VolumeSpec(name: request.name), try await lab.csi.create(request))
                return try await cleaningUp(volume) {
                    try checkEqual(volume.bytes, 12 * MiB, "capacity_bytes")
                    try checkEqual(try await lab.find(volume.id)?.volume.size, 12 * MiB, "logical volume")
                    try await volume.delete()
                    request.name = "pvc-impossible"
                    request.capacityRange.limitBytes = Int64(11 * MiB)
                    try await refused(.outOfRange, "10 MiB + 1 to 11 MiB") { try await lab.csi.create(request) }
                    return "10 MiB + 1 becomes 12 MiB; with a limit of 11 MiB OUT_OF_RANGE"
                }
            },
            Step("GetCapacity is what LVM has") { lab in
                for mode in ["fsdax", "sector"] {
                    let groups = try await lab.groups(mode: mode)
                    let answer = try await lab.csi.capacity(mode: mode)
                    let free = groups.reduce(0) { $0 + $1.free }
                    try checkEqual(UInt64(answer.availableCapacity), free, "available_capacity of \(mode)")
                    let largest = groups.map(\.free).max() ?? 0
                    try checkEqual(UInt64(answer.maximumVolumeSize.value), largest, "maximum_volume_size of \(mode)")
                }
                let elsewhere = try await lab.csi.controller {
                    try await $0.getCapacity(
                        .with { $0.accessibleTopology.segments = ["pmem-csi.intel.com/node": "elsewhere"] },
                        options: CSI.options)
                }
                try checkEqual(elsewhere.availableCapacity, 0, "available_capacity of another node")
                return "\(mebibytes(try await lab.csi.free())) of fsdax"
            },
            Step("a full group: RESOURCE_EXHAUSTED, and the space comes back") { lab in
                let before = try await lab.csi.capacity()
                let volumes = try await fill(lab)
                do {
                    try checkEqual(try await lab.csi.free(), 0, "available_capacity of the full groups")
                    try checkEqual(try await lab.free(mode: "fsdax"), 0, "free space in LVM")
                    try await refused(.resourceExhausted, "one more") {
                        try await lab.csi.create(VolumeSpec(name: "pvc-one-more", size: 4 * MiB))
                    }
                    try await refused(.resourceExhausted, "one more, larger") {
                        try await lab.csi.create(VolumeSpec(name: "pvc-one-more"))
                    }
                } catch {
                    for volume in volumes { try? await volume.delete() }
                    throw error
                }
                for volume in volumes { try await volume.delete() }
                let after = try await lab.csi.capacity()
                try checkEqual(after, before, "capacity afterwards")
                try await lab.checkNothingLeaked()
                let sizes = volumes.map { mebibytes($0.bytes) }.joined(separator: " and ")
                return "\(sizes) made exactly as GetCapacity said, then RESOURCE_EXHAUSTED"
            },
        ])

    /// Volumes of just the maximum size until there is no room.
    static func fill(_ lab: Lab) async throws -> [Volume] {
        var volumes: [Volume] = []
        do {
            while true {
                let maximum = UInt64(try await lab.csi.capacity().maximumVolumeSize.value)
                if maximum == 0 { return volumes }
                try check(volumes.count < 8, "8 volumes of the maximum size, and still room")
                volumes.append(try await Volume.create(VolumeSpec(name: "pvc-fill-\(volumes.count)", size: maximum)))
                try checkEqual(volumes.last?.bytes ?? 0, maximum, "size of a volume of the maximum size")
            }
        } catch {
            for volume in volumes { try? await volume.delete() }
            throw error
        }
    }

    /// The lvm runs of each call of a life.
    static func runs(_ spec: VolumeSpec) async throws -> [(String, [String: Int])] {
        let csi = CSI()
        var volume = Volume(spec, .init())
        var runs: [(String, [String: Int])] = []
        runs.append(("CreateVolume", try await Metrics.runs { volume = try await Volume.create(spec) }))
        let made = volume
        return try await cleaningUp(made) {
            for call in LifeSteps.calls {
                runs.append((call.0, try await Metrics.runs { try await call.1(made) }))
            }
            runs.append(("ListVolumes", try await Metrics.runs { _ = try await csi.ids() }))
            runs.append(("GetCapacity", try await Metrics.runs { _ = try await csi.free() }))
            for call in LifeSteps.calls.reversed() {
                runs.append(("undoing \(call.0)", try await Metrics.runs { try await call.2(made) }))
            }
            runs.append(("DeleteVolume", try await Metrics.runs { try await made.delete() }))
            return runs
        }
    }
}
