import CSIProto
import GRPCCore
import SwiftProtobuf

/// ControllerModifyVolume.
enum ModifyChecks {
    private static let needs: [Feature] = [.controller(.modifyVolume), .mutableParameter]

    static let topic = Topic(
        "Modification",
        [
            Check("takes effect, twice, and lasts", needs: needs) { driver in
                let volume = try await driver.volume()
                try await driver.send(modification(volume))
                try await driver.send(modification(volume))
                let seen = try await confirmed(volume, driver.settings.mutable)
                try require(seen, "ValidateVolumeCapabilities does not confirm what was set")
                let modified = volume.request.changing { $0.mutableParameters = driver.settings.mutable }
                try requireEqual(try await driver.create(modified).id, volume.id, "id when asked for as it is now")
                return driver.settings.mutable.map { "\($0)=\($1)" }.joined(separator: ", ")
            },
            Check("nothing is applied with one key unknown", needs: needs) { driver in
                let volume = try await driver.volume()
                let bad = modification(volume).changing { $0.mutableParameters["no-such-parameter"] = "1" }
                try await driver.expect(.invalidArgument, of: bad)
                try require(!(try await confirmed(volume, driver.settings.mutable)), "the other keys were applied")
                return "INVALID_ARGUMENT"
            },
            Check("a bad value is refused", needs: needs) { driver in
                let volume = try await driver.volume()
                let bad = modification(volume).changing {
                    for key in driver.settings.mutable.keys { $0.mutableParameters[key] = "\u{1F4BE}" }
                }
                try await driver.expect(.invalidArgument, of: bad)
                return "INVALID_ARGUMENT"
            },
            Check("what it does not name stays", needs: needs) { driver in
                let volume = try await driver.volume()
                try await driver.send(modification(volume))
                let outcome = try await driver.expect(
                    .ok, .invalidArgument, of: modification(volume).changing { $0.mutableParameters = [:] },
                    "of nothing")
                try require(try await confirmed(volume, driver.settings.mutable), "it went back")
                return "of nothing: \(name(outcome))"
            },
            Check("while it is in use", needs: needs) { driver in
                let volume = try await driver.volume()
                try await volume.up()
                try await driver.send(modification(volume))
                try Payload(seed: 71).write(to: volume.payload)
                try await volume.down()
                return "OK"
            },
        ])

    private static func modification(_ volume: Volume) -> Csi_V1_ControllerModifyVolumeRequest {
        .with { ($0.volumeID, $0.mutableParameters) = (volume.id, volume.driver.settings.mutable) }
    }

    private static func confirmed(_ volume: Volume, _ parameters: [String: String]) async throws -> Bool {
        let request = Csi_V1_ValidateVolumeCapabilitiesRequest.with {
            $0.volumeID = volume.id
            $0.volumeCapabilities = [volume.capability]
            $0.mutableParameters = parameters
        }
        return try await volume.driver.send(request).hasConfirmed
    }
}

/// Volumes that live as long as their pod: made by NodePublishVolume, removed by NodeUnpublishVolume.
enum EphemeralChecks {
    static let topic = Topic(
        "Ephemeral inline volumes",
        [
            Check("a life, and nothing is left", needs: [.ephemeral]) { driver in
                let free = driver.offers(.capacity) ? try await driver.free() : 0
                let publish = try driver.ephemeral("life")
                try await driver.send(publish)
                try await driver.send(publish)
                try Payload(seed: 81).write(to: "\(publish.targetPath)/payload")
                if driver.offers(.list) {
                    let ids = try await driver.volumes().map(\.volume.volumeID)
                    try require(!ids.contains(publish.volumeID), "ListVolumes lists it")
                }
                let unpublish = removal(publish)
                try await driver.send(unpublish)
                try await driver.send(unpublish)
                try require(!Disk.exists(publish.targetPath), "the target path is left")
                if driver.offers(.capacity) { try requireEqual(try await driver.free(), free, "capacity") }
                return "published and unpublished twice"
            },
            Check("a new one is empty", needs: [.ephemeral]) { driver in
                let publish = try driver.ephemeral("again")
                try await driver.send(publish)
                try Payload(seed: 82).write(to: "\(publish.targetPath)/payload")
                try await driver.send(removal(publish))
                try await driver.send(publish)
                try require(!Disk.exists("\(publish.targetPath)/payload"), "it holds what its namesake held")
                return "the same id, another volume"
            },
            Check("as a device it is refused", needs: [.ephemeral]) { driver in
                let publish = try driver.ephemeral("block").changing { $0.volumeCapability = .block() }
                try await driver.expect(.invalidArgument, of: publish)
                try require(!Disk.exists(publish.targetPath), "the target path was made")
                return "INVALID_ARGUMENT"
            },
            Check("of an impossible size it is refused", needs: [.ephemeral]) { driver in
                for size in ["-1", "0", "1e99", "much", "1Ei", ""] {
                    let publish = try driver.ephemeral("size").changing { $0.volumeContext["size"] = size }
                    try await driver.expect(.invalidArgument, .outOfRange, .resourceExhausted, of: publish, size)
                    try require(!Disk.exists(publish.targetPath), "size \(size): the target path was made")
                }
                return "6 sizes"
            },
            Check("no other call knows it", needs: [.ephemeral]) { driver in
                let publish = try driver.ephemeral("hidden")
                try await driver.send(publish)
                let volume = Volume(
                    driver: driver, request: driver.creation(), answer: .with { $0.volumeID = publish.volumeID })
                try await driver.expect(.ok, of: volume.deletion)
                try await driver.expect(.notFound, of: volume.validation)
                try Payload(seed: 83).write(to: "\(publish.targetPath)/payload")
                return "DeleteVolume leaves it alone"
            },
        ])

    private static func removal(_ publish: Csi_V1_NodePublishVolumeRequest) -> Csi_V1_NodeUnpublishVolumeRequest {
        .with { ($0.volumeID, $0.targetPath) = (publish.volumeID, publish.targetPath) }
    }
}
