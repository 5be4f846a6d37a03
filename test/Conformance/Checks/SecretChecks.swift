import CSIProto
import GRPCCore
import SwiftProtobuf

/// Secrets and mount flags never show: not in the log, not in a message.
enum SecretChecks {
    static let topic = Topic(
        "Secrets",
        [
            Check("no secret and no mount flag in the log, of calls that work", needs: [.log]) { driver in
                try await unseen(driver) { marker in
                    let capability = Capability.mount(driver.capability.mount.fsType, flags: ["noatime"])
                    let volume = try await driver.volume("secret", capability)
                    try volume.makeDirectories()
                    return calls(volume).map { with($0, marker) }
                }
            },
            Check("nor of calls that fail", needs: [.log]) { driver in
                try await unseen(driver) { marker in
                    let flags = Capability.mount(driver.capability.mount.fsType, flags: ["x-\(marker)", marker])
                    let request = driver.creation("secret", flags)
                    let volume = Volume(
                        driver: driver, request: request, answer: .with { $0.volumeID = "no-such-volume" })
                    try volume.makeDirectories()
                    let there = try await driver.volume()
                    try there.makeDirectories()
                    let bad: [any Call] =
                        calls(volume) + [
                            request.changing { $0.name = "" }, there.stage.changing { $0.volumeCapability = flags },
                            there.validation.changing { $0.volumeCapabilities = [flags] },
                            there.publish.changing { $0.volumeCapability = flags },
                            Csi_V1_GetCapacityRequest.with { $0.volumeCapabilities = [flags] },
                        ]
                    return bad.map { with($0, marker) }
                }
            },
        ])

    /// Every call that has secrets, in the order of a life.
    private static func calls(_ volume: Volume) -> [any Call] {
        let driver = volume.driver
        let calls: [any Call] = [
            volume.request, volume.validation, volume.attachment, volume.stage, volume.publish,
            volume.expansion(to: volume.size), volume.nodeExpansion(to: volume.size),
            volume.snapshot("conformance-secret"), Csi_V1_ListSnapshotsRequest(),
            Csi_V1_GetSnapshotRequest.with { $0.snapshotID = "no-such-snapshot" },
            Csi_V1_DeleteSnapshotRequest.with { $0.snapshotID = "no-such-snapshot" },
            Csi_V1_ControllerModifyVolumeRequest.with {
                ($0.volumeID, $0.mutableParameters) = (volume.id, driver.settings.mutable)
            },
            volume.unpublish, volume.unstage, volume.detachment,
        ]
        return calls.filter { RefusalChecks.isOffered($0, driver) }
    }

    private static func with<Request: Call>(_ request: Request, _ marker: String) -> any Call {
        guard var secret = request as? any Confidential else { return request }
        secret.secrets = ["user": "u-\(marker)", "password": marker]
        return secret
    }

    /// Sends what the body wants, then reads what the log has got since.
    private static func unseen(
        _ driver: Driver, _ body: (String) async throws -> [any Call]
    ) async throws -> String {
        let log = driver.settings.log ?? ""
        let before = try Disk.text(log).utf8.count
        let marker = "hIdE-\(UInt64.random(in: .min ... .max))"
        let calls = try await body(marker)
        for call in calls {
            do {
                try await driver.send(call)
            } catch let error as RPCError {
                try require(
                    !error.message.contains(marker), "\(type(of: call).title): the message has a secret or flag")
            }
        }
        // Logs may be written a moment after the answer.
        try await Task.sleep(for: .milliseconds(200))
        let lines = try Disk.text(log).utf8.dropFirst(before).split(separator: UInt8(ascii: "\n"))
        try require(!lines.isEmpty, "\(log) has no new line: is it this driver's log?")
        let bad = lines.map { String(decoding: $0, as: UTF8.self) }.filter { $0.contains(marker) }
        try require(bad.isEmpty, "in \(bad.count) lines: \(bad.first?.prefix(300) ?? "")")
        return "\(calls.count) calls, \(lines.count) lines"
    }
}
