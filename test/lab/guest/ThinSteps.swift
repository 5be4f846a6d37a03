import CSIProto
import GRPCCore
import LVM
import SwiftProtobuf

/// Thin volumes, whose copies share what nobody has changed.
enum ThinSteps {
    static let spec = VolumeSpec(name: "pvc-thin", size: 256 * MiB, isThin: true)
    private static let pool = "pmem-csi-thin"

    static let topic = Topic(
        title: "Thin volumes",
        steps: [
            Step("the first makes a pool of its group, the last takes it along", essential: true) { lab in
                let free = try await lab.free(mode: "fsdax")
                let promised = try await lab.csi.thinCapacity()
                let seen = try await withVolume(spec) { volume in
                    guard let found = try await lab.find(volume.id), let pool = found.group.volume(pool) else {
                        throw Failure("no pool")
                    }
                    try checkEqual(found.volume.pool, pool.name, "pool of the volume")
                    let half = found.group.size / 2
                    try check(
                        pool.size <= half && pool.size + 8 * MiB > half, "the pool has \(pool.size) of \(half * 2)")
                    let now = try await lab.csi.thinCapacity()
                    try checkEqual(now.availableCapacity, promised.availableCapacity - Int64(256 * MiB), "thin room")
                    try checkEqual(
                        UInt64(try await lab.csi.capacity().availableCapacity), try await lab.free(mode: "fsdax"),
                        "thick room")
                    try await volume.up()
                    let mount = try Kernel.mounts(at: volume.targetPath)
                    try check(mount.count == 1 && !mount[0].isDirect, "\(mount)")
                    return "\(mebibytes(pool.size)) of \(mebibytes(found.group.size)), mounted without DAX"
                }
                try checkEqual(try await lab.free(mode: "fsdax"), free, "free space afterwards")
                try await lab.checkNothingLeaked()
                return seen
            },
            Step("snapshots while it is mounted hold nobody up") { lab in
                try await withVolume(spec) { volume in
                    try await volume.up()
                    try Kernel.write("before", to: "\(volume.targetPath)/file")
                    return try await SnapshotSteps.copyUnderWriter(volume)
                }
            },
            Step("of a volume that is not in use; nothing depends on anything", quick: false) { lab in
                let seen = try await SnapshotSteps.snapshotAndRestore(lab, spec)
                try await lab.checkNothingLeaked(expecting: [])
                return seen
            },
            Step("a larger restore has a larger file system", quick: false) { lab in
                var spec = spec
                spec.size = 128 * MiB
                return try await SnapshotSteps.enlarge(lab, spec, to: 256 * MiB)
            },
            Step("sizes count in full: one more is RESOURCE_EXHAUSTED, a snapshot too", quick: false) { lab in
                var volumes: [Volume] = []
                do {
                    while true {
                        let room = UInt64(try await lab.csi.thinCapacity().maximumVolumeSize.value)
                        if room == 0 { break }
                        try check(volumes.count < 8, "8 volumes of the maximum size, and still room")
                        volumes.append(
                            try await Volume.create(
                                VolumeSpec(name: "pvc-thin-\(volumes.count)", size: room, isThin: true)))
                    }
                    try await refused(.resourceExhausted, "one more") {
                        try await lab.csi.create(VolumeSpec(name: "pvc-thin-more", size: 4 * MiB, isThin: true))
                    }
                    try await refused(.resourceExhausted, "a snapshot") {
                        try await lab.csi.createSnapshot("snap-full", of: volumes[0].id)
                    }
                    try await withVolume(VolumeSpec(name: "pvc-thick-beside")) { _ in }
                } catch {
                    for volume in volumes { try? await volume.delete() }
                    throw error
                }
                for volume in volumes { try await volume.delete() }
                try await lab.checkNothingLeaked(expecting: [])
                return volumes.map { mebibytes($0.bytes) }.joined(separator: " and ")
            },
            Step("a restore is provisioned like its source, or INVALID_ARGUMENT", quick: false) { lab in
                try await withVolume(spec) { volume in
                    var copy = volume.clone("pvc-thick-clone")
                    copy.isThin = false
                    try await refused(.invalidArgument, "thick") { try await lab.csi.create(copy) }
                    var request = spec.request
                    request.parameters["nsmode"] = "fsdax"
                    request.name = "pvc-thin-dax"
                    return try await refused(.invalidArgument, "nsmode fsdax") { try await lab.csi.create(request) }
                }
            },
            Step("without thin_check: FAILED_PRECONDITION names the package; thick volumes go on", quick: false) {
                lab in
                _ = try await execute("mv", "/usr/sbin/thin_check", "/usr/sbin/thin_check.away").succeeded()
                let result: Result<String, any Error>
                do {
                    let message = try await refused(.failedPrecondition, "a thin volume") {
                        try await lab.csi.create(spec)
                    }
                    try check(message.contains("thin-provisioning-tools"), message)
                    try checkEqual(try await lab.csi.thinCapacity().availableCapacity, 0, "thin room")
                    try await withVolume(VolumeSpec(name: "pvc-thick-beside")) { _ in }
                    result = .success(message)
                } catch { result = .failure(error) }
                _ = try await execute("mv", "/usr/sbin/thin_check.away", "/usr/sbin/thin_check").succeeded()
                try await lab.checkNothingLeaked(expecting: [])
                return try result.get()
            },
            Step("a device that a killed lvm left suspended goes on after the next start", quick: false) { lab in
                try await withVolume(spec) { volume in
                    try await volume.up()
                    guard let group = try await lab.find(volume.id)?.group.name else { throw Failure("no group") }
                    let name = DeviceMapper.path(group: group, volume: volume.id)
                    let writer = try await Writer.start(at: "\(volume.targetPath)/numbers")
                    _ = try await execute("dmsetup", "suspend", name).succeeded()
                    try await lab.driver.restart()
                    try await writer.moves()
                    let wrote = try await writer.stop()
                    return "the writer waited \(wrote.longest) ms"
                }
            },
        ])
}
