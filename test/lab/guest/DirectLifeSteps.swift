import CSIProto
import GRPCCore
import SwiftProtobuf

/// One volume's life as a namespace of its own.
enum DirectLifeSteps {
    static let spec = VolumeSpec(name: "pvc-direct", size: 256 * MiB)

    static let topic = Topic(
        title: "A volume's life",
        steps: [
            Step("fsdax: its namespace has the volume's name and size; MAP_SYNC works, the file stays") { lab in
                let free = try DirectView.free()
                let seen = try await withVolume(spec) { volume in try await write(volume) }
                try checkEqual(try DirectView.free(), free, "free bytes of the regions afterwards")
                try await lab.checkNothingLeaked(expecting: [])
                return seen
            },
            Step("2 MiB of a file take one page fault", quick: false) { lab in
                try await withVolume(spec) { volume in
                    try await volume.up()
                    let faults = try DirectAccess.touch("\(volume.targetPath)/huge", pieces: 16)
                    try check(faults.huge >= 12, "\(faults.huge) of \(faults.pieces) pieces of 2 MiB were huge pages")
                    return "\(faults.huge) of \(faults.pieces) pieces of 2 MiB, instead of 512 faults each"
                }
            },
            Step("sector: a BTT with the volume's name and size; no DAX, and MAP_SYNC is refused") { lab in
                try await withVolume(VolumeSpec(name: "pvc-btt", size: 128 * MiB, mode: "sector")) { volume in
                    try await sector(volume)
                }
            },
            Step("pageMap mem: nothing of the namespace goes into the page map", quick: false) { lab in
                var spec = spec
                spec.parameters["pageMap"] = "mem"
                return try await withVolume(spec) { volume in
                    let namespace = try await DirectView.namespace(volume)
                    try checkEqual(namespace.map, "mem", "map of \(namespace.dev)")
                    try await volume.up()
                    try DirectAccess.writeSynchronously("in memory", to: "\(volume.targetPath)/file")
                    return "map \(namespace.map ?? ""), \(mebibytes(volume.bytes)) usable, MAP_SYNC accepted"
                }
            },
        ] + LifeSteps.common.map { $0.inFullRunOnly })

    private static func write(_ volume: Volume) async throws -> String {
        try await checkNamespace(volume, mode: "fsdax")
        try await volume.up()
        for path in [volume.stagePath, volume.targetPath] {
            let mounts = try Kernel.mounts(at: path)
            try checkEqual(mounts.count, 1, "mounts at \(path)")
            try check(mounts[0].isDirect && mounts[0].type == "ext4", "\(mounts[0])")
        }
        try DirectAccess.writeSynchronously("persistent", to: "\(volume.targetPath)/file")
        try await volume.down()
        try check(try Kernel.mounts().allSatisfy { !$0.point.hasPrefix(volume.directory) }, "a mount is left")
        try await volume.up()
        try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "persistent", "the file after unstage and stage")
        return
            "\(mebibytes(volume.bytes)) for \(mebibytes(volume.spec.size)), dax, MAP_SYNC accepted; all space is back"
    }

    private static func sector(_ volume: Volume) async throws -> String {
        try await checkNamespace(volume, mode: "sector")
        try await volume.up()
        let mounts = try Kernel.mounts(at: volume.targetPath)
        try check(mounts.count == 1 && !mounts[0].isDirect, "\(mounts)")
        let refusal: String
        do {
            try DirectAccess.writeSynchronously("x", to: "\(volume.targetPath)/sync")
            throw Failure("MAP_SYNC was accepted on a sector volume")
        } catch let error where "\(error)".contains("MAP_SYNC") && !"\(error)".contains("accepted") {
            refusal = text(of: error)
        }
        try Kernel.write("sectors", to: "\(volume.targetPath)/file")
        try await volume.down()
        try await volume.up()
        try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "sectors", "the file after unstage and stage")
        return "\(volume.bytes) bytes for \(mebibytes(volume.spec.size)); \(refusal.suffix(40))"
    }

    /// What was answered is what the kernel says.
    static func checkNamespace(_ volume: Volume, mode: String) async throws {
        let namespace = try await DirectView.namespace(volume)
        try checkEqual(namespace.mode, mode, "mode of \(namespace.dev)")
        try checkEqual(namespace.size, volume.bytes, "size of \(namespace.dev) and capacity_bytes")
        try check(volume.bytes >= volume.spec.size, "capacity_bytes \(volume.bytes), asked for \(volume.spec.size)")
        try check(LifeSteps.isWellFormed(volume.id), "volume id \"\(volume.id)\"")
        let blocks = try Kernel.read("/sys/class/block/\(namespace.blockdev ?? "")/size").filter(\.isNumber)
        try checkEqual((UInt64(blocks) ?? 0) * 512, volume.bytes, "bytes of the block device")
    }
}

/// What the StorageClass says about regions and modes.
enum DirectChoiceSteps {
    static let topic = Topic(
        title: "Regions and modes that a StorageClass names",
        steps: [
            Step("region and numaNode are kept to; what is not here is RESOURCE_EXHAUSTED", quick: false) { lab in
                for region in try NamespaceSteps.regions() {
                    var spec = VolumeSpec(name: "pvc-\(region)")
                    spec.parameters["region"] = region
                    try await withVolume(spec) { volume in
                        let names = try await DirectView.namespaces(inRegion: region).compactMap(\.name)
                        try check(names.contains(volume.id), "\(volume.id) is not in \(region), which has \(names)")
                    }
                }
                var messages: [String] = []
                for (key, value) in [("region", "region77"), ("numaNode", "77")] {
                    var spec = VolumeSpec(name: "pvc-nowhere")
                    spec.parameters[key] = value
                    messages.append(
                        try await refused(.resourceExhausted, "\(key) \(value)") { try await lab.csi.create(spec) })
                }
                try await lab.checkNothingLeaked(expecting: [])
                return messages[0]
            },
            Step("devdax, thin and what is misspelt: INVALID_ARGUMENT, with the reason") { lab in
                let rows: [(String, [String: String])] = [
                    ("devdax", ["nsmode": "devdax"]), ("thin", ["provisioning": "thin", "nsmode": "sector"]),
                    ("pageMap", ["pageMap": "somewhere"]), ("region", ["region": "../etc"]),
                    ("numaNode", ["numaNode": "-1"]), ("sector", ["nsmode": "sector", "pageMap": "dev"]),
                ]
                try await ErrorSteps.every(rows.map { ($0.0, $0) }) { row in
                    var spec = VolumeSpec(name: "pvc-\(row.0)")
                    spec.parameters = row.1
                    let message = try await refused(.invalidArgument, row.0) { try await lab.csi.create(spec) }
                    try check(message.contains(row.0), "\"\(message)\" does not name \(row.0)")
                }
                try await lab.checkNothingLeaked(expecting: [])
                return "\(rows.count) requests"
            },
            Step("growing is neither advertised nor done", quick: false) { lab in
                let has = try await lab.csi.controller {
                    try await $0.controllerGetCapabilities(.init(), options: CSI.options)
                }
                .capabilities.map(\.rpc.type)
                try check(!has.contains(.expandVolume), "EXPAND_VOLUME is advertised")
                return try await withVolume(VolumeSpec(name: "pvc-grow")) { volume in
                    try await refused(.unimplemented, "expansion") {
                        try await lab.csi.expand(volume.id, to: volume.bytes * 2)
                    }
                }
            },
        ])
}
