import CSIProto
import GRPCCore
import SwiftProtobuf

/// CreateVolume is keyed by the name: the same again is the same volume, anything else under the name is refused.
enum CreationChecks {
    static let topic = Topic(
        "Creation",
        [
            Check("the same request again is the same volume") { driver in
                let volume = try await driver.volume()
                let again = try await driver.create(volume.request)
                try requireEqual(again.answer, volume.answer, "the answer")
                let wider = volume.request.changing { $0.capacityRange.requiredBytes = 1 }
                try requireEqual(try await driver.create(wider).id, volume.id, "id with a range that it meets too")
                return "\(volume.id), \(mebibytes(volume.size))"
            },
            Check("another size for the name") { driver in
                let volume = try await driver.volume()
                try await driver.expect(
                    .alreadyExists, of: volume.request.changing { $0.capacityRange.requiredBytes = volume.size * 2 })
                let smaller = volume.request.changing {
                    ($0.capacityRange.requiredBytes, $0.capacityRange.limitBytes) = (1, volume.size - 1)
                }
                return try await name(driver.expect(.alreadyExists, of: smaller))
            },
            Check("other capabilities for the name") { driver in
                let volume = try await driver.volume()
                let fs = volume.capability.mount.fsType
                var others: [(String, [Capability])] = [
                    ("access mode", [.mount(fs, .singleNodeReaderOnly)]),
                    ("two", [.mount(fs), .mount(fs, .singleNodeReaderOnly)]),
                ]
                if driver.offers(.block) { others.append(("block", [.block()])) }
                for type in driver.settings.filesystems.dropFirst() { others.append((type, [.mount(type)])) }
                try await forEach(others) { capabilities in
                    try await driver.expect(
                        .alreadyExists, of: volume.request.changing { $0.volumeCapabilities = capabilities })
                }
                return others.map(\.0).joined(separator: ", ")
            },
            Check("other parameters for the name", needs: [.mutableParameter]) { driver in
                let volume = try await driver.volume()
                try await driver.expect(
                    .alreadyExists, of: volume.request.changing { $0.mutableParameters = driver.settings.mutable })
                return "ALREADY_EXISTS"
            },
            Check("another source for the name", needs: [.snapshots]) { driver in
                let volume = try await driver.volume()
                let snapshots = [try await volume.snapshotIt(), try await volume.snapshotIt()]
                let one = try await driver.copy(of: .snapshot(snapshots[0].snapshotID))
                var sources: [(String, Csi_V1_CreateVolumeRequest)] = [
                    ("none", one.request.changing { $0.clearVolumeContentSource() }),
                    (
                        "another snapshot",
                        one.request.changing { $0.volumeContentSource.snapshot.snapshotID = snapshots[1].snapshotID }
                    ),
                    (
                        "one where there was none",
                        volume.request.changing { $0.volumeContentSource = one.request.volumeContentSource }
                    ),
                ]
                if driver.offers(.clones) {
                    let clone = one.request.changing { $0.volumeContentSource = Source.volume(volume.id).message }
                    sources.append(("its volume", clone))
                }
                try await forEach(sources) { try await driver.expect(.alreadyExists, of: $0) }
                try requireEqual(try await driver.create(one.request).id, one.id, "id of the same request")
                return sources.map(\.0).joined(separator: ", ")
            },
            Check("mutable_parameters win over parameters", needs: [.mutableParameter]) { driver in
                let mutable = driver.settings.mutable
                let both = driver.creation().changing {
                    $0.parameters.merge(mutable.mapValues { $0 == "true" ? "false" : "true" }) { $1 }
                    $0.mutableParameters = mutable
                }
                let volume = try await driver.create(both)
                let effect = volume.request.changing {
                    $0.parameters.merge(mutable) { $1 }
                    $0.mutableParameters = [:]
                }
                try requireEqual(try await driver.create(effect).id, volume.id, "id when asked for by what won")
                return mutable.keys.sorted().joined(separator: ", ")
            },
            Check("sizes: the range is kept to") { driver in
                let odd = try await driver.volume(size: driver.settings.size + 1)
                try require(odd.size > driver.settings.size, "\(odd.size) bytes")
                let tiny = driver.creation().changing {
                    ($0.capacityRange.requiredBytes, $0.capacityRange.limitBytes) = (0, 1)
                }
                let answer = try await driver.expect(.outOfRange, .ok, of: tiny, "of at most a byte")
                let none = try await driver.create(driver.creation().changing { $0.clearCapacityRange() })
                try require(none.size > 0, "capacity_bytes is 0 where no range was given")
                let inverted = driver.creation().changing { $0.capacityRange.limitBytes = 1 }
                try await driver.expect(.invalidArgument, .outOfRange, of: inverted, "limit below required")
                return "+1 byte: \(odd.size); at most 1 byte: \(name(answer)); no range: \(mebibytes(none.size))"
            },
            Check("an EiB is refused, and leaves nothing") { driver in
                let answers = try await [Int64(1) << 60, .max, .max - 4095].asyncMap { size in
                    try await name(driver.expect(.outOfRange, .resourceExhausted, of: driver.creation(size: size)))
                }
                return answers.joined(separator: ", ")
            },
            Check("deleting twice, and making it anew") { driver in
                let volume = try await driver.volume()
                try await driver.send(volume.deletion)
                try await driver.send(volume.deletion)
                let larger = volume.request.changing { $0.capacityRange.requiredBytes = volume.size * 2 }
                try require(try await driver.create(larger).size >= volume.size * 2, "the new one has the old size")
                return "the name is free again"
            },
        ])
}

extension Array {
    func asyncMap<Result>(_ transform: (Element) async throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
