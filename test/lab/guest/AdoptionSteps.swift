import FoundationEssentials

/// A state directory that was lost: nothing is harmed, and `csictl adopt` brings the volumes back.
enum AdoptionSteps {
    static let topic = Topic(
        title: "Adoption",
        steps: [
            Step("volumes without records are left alone, csictl adopt brings them back", quick: false) { lab in
                try await withVolume(VolumeSpec(name: "pvc-adopted", erase: true)) { volume in
                    try await volume.up()
                    try Kernel.write("precious", to: "\(volume.targetPath)/file")
                    try await volume.down()
                    try await loseRecords(lab)
                    let printed = try await adopt(lab)
                    try check(printed.contains("adopted \(volume.id)"), "csictl adopt: \(printed)")
                    try await lab.checkNothingLeaked(expecting: [volume.id])
                    try checkEqual(try await Volume.create(volume.spec).id, volume.id, "the id of CreateVolume again")
                    try await volume.up()
                    try checkEqual(try Kernel.read("\(volume.targetPath)/file"), "precious", "the file")
                    return printed
                }
            }
        ])

    /// A driver that starts without its records knows no volumes, and touches none.
    private static func loseRecords(_ lab: Lab) async throws {
        let kept = try await lab.csi.ids()
        try await lab.driver.stop()
        let records = lab.driver.records
        for name in try FileManager.default.contentsOfDirectory(atPath: records) where name.hasSuffix(".json") {
            try FileManager.default.removeItem(atPath: "\(records)/\(name)")
        }
        try await lab.driver.start()
        try checkEqual(try await lab.csi.ids(), [], "volumes without records")
        for id in kept { try check(try await lab.has(id), "\(id) is gone with its record") }
    }

    private static func adopt(_ lab: Lab) async throws -> String {
        try await lab.driver.stop()
        let output = try await execute(
            "\(lab.programs)/csictl", "adopt", "-deviceManager=\(lab.driver.manager)", "-statePath", lab.driver.records
        ).succeeded()
        try await lab.driver.start()
        return output.text.split(separator: "\n").joined(separator: ", ")
    }
}
