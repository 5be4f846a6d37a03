import FoundationEssentials

/// What stays on disk, what gets into the log, and what a new driver process makes of both.
enum RecordSteps {
    static let topic = Topic(
        title: "Records and the log",
        steps: [
            Step("a record outlives the driver, the volume answers as before", quick: false) { lab in
                let spec = VolumeSpec(name: "pvc-record")
                return try await withVolume(spec) { volume in
                    let before = try await lab.csi.list()
                    try await lab.driver.stop()
                    try await lab.driver.start()
                    try checkEqual(try await lab.csi.list(), before, "ListVolumes")
                    let again = try await Volume.create(spec)
                    try checkEqual(again.context, volume.context, "volume context")
                    try checkEqual(again.id, volume.id, "volume id")
                    return "the same entry, and CreateVolume finds it again"
                }
            },
            Step("a half-written record of a crash does not stop the driver", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-temporary")) { volume in
                    try await lab.driver.crash()
                    try Kernel.write("{\"id\": \"", to: "\(lab.driver.records)/\(volume.id).json.tmp")
                    try await lab.driver.start()
                    try checkEqual(try await lab.csi.ids(), [volume.id], "volumes")
                    return "the record itself is in force"
                }
            },
            Step("neither secrets nor mount flags get into the log") { lab in
                let secrets = ["password": "Tr0ub4dor", "token": "c0rrecthorse"]
                var spec = VolumeSpec(name: "pvc-secret", flags: ["commit=4711"], secrets: secrets)
                let volume = try await Volume.create(spec)
                try await cleaningUp(volume) {
                    try await volume.up()
                    try await volume.down()
                    try await volume.delete()
                }
                spec.flags = ["batterystaple=1"]
                let message = try await staging(spec)
                let log = try Kernel.read(lab.driver.log)
                for word in ["Tr0ub4dor", "c0rrecthorse", "commit=4711", "batterystaple"] {
                    try check(!log.contains(word), "\(word) is in \(lab.driver.log)")
                    try check(!message.contains(word), "\(word) is in the error message \(message)")
                }
                try check(log.contains("NodeStageVolume"), "the log does not speak of the calls at all")
                return "4 words in 8 calls, none in \(log.utf8.count >> 10) KiB of log"
            },
        ])

    /// Staging with a mount flag that the kernel refuses.
    private static func staging(_ spec: VolumeSpec) async throws -> String {
        let volume = try await Volume.create(spec)
        return try await cleaningUp(volume) {
            try await volume.controllerPublish()
            let message: String
            do {
                try await volume.stage()
                throw Failure("a mount flag that no file system knows was accepted")
            } catch let error where !(error is Failure) {
                message = text(of: error)
            }
            try check(try Kernel.mounts(at: volume.stagePath).isEmpty, "it is mounted all the same")
            try await volume.controllerUnpublish()
            try await volume.delete()
            return message
        }
    }
}
