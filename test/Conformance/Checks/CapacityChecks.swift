import CSIProto
import GRPCCore
import SwiftProtobuf

/// GetCapacity says what can be made.
enum CapacityChecks {
    static let topic = Topic(
        "Capacity",
        [
            Check("goes down by a volume's size, and up again", needs: [.capacity]) { driver in
                let before = try await driver.free()
                let volume = try await driver.volume(size: driver.settings.size * 3)
                try requireEqual(try await driver.free(), before - volume.size, "with the volume")
                try await driver.send(volume.deletion)
                try requireEqual(try await driver.free(), before, "without it")
                return "\(mebibytes(before)), a volume of \(mebibytes(volume.size))"
            },
            Check("snapshots and copies count", needs: [.capacity, .snapshots]) { driver in
                let before = try await driver.free()
                let volume = try await driver.volume()
                let one = try await driver.free()
                let snapshot = try await volume.snapshotIt()
                let two = try await driver.free()
                _ = try await driver.copy(of: .snapshot(snapshot.snapshotID))
                let three = try await driver.free()
                try require(before > one && one >= two && two > three, "\([before, one, two, three])")
                let problems = await driver.undo()
                try require(problems.isEmpty, problems.joined(separator: "; "))
                try requireEqual(try await driver.free(), before, "afterwards")
                return [before, one, two, three].map(mebibytes).joined(separator: ", ")
            },
            Check("a volume of exactly the maximum size", needs: [.capacity, .maximumSize]) { driver in
                let capacity = try await driver.capacity()
                let maximum = capacity.maximumVolumeSize.value
                try require(maximum > 0, "maximum_volume_size \(maximum)")
                try await driver.expect(
                    .outOfRange, .resourceExhausted, of: driver.creation(size: maximum + 1), "of one byte more")
                let volume = try await driver.volume(size: maximum)
                try requireEqual(volume.size, maximum, "capacity_bytes")
                return "\(mebibytes(maximum)) of \(mebibytes(capacity.availableCapacity))"
            },
            Check("a volume of exactly the minimum size", needs: [.capacity]) { driver in
                let minimum = try await driver.capacity().minimumVolumeSize.value
                let request = driver.creation(size: max(minimum, 1)).changing {
                    $0.capacityRange.limitBytes = max(minimum, 1)
                }
                return try await
                    "\(mebibytes(minimum)): \(name(driver.expect(minimum > 0 ? [.ok] : [.ok, .outOfRange], of: request, "")))"
            },
            Check("full: RESOURCE_EXHAUSTED, and the space comes back", needs: [.capacity, .maximumSize], core: false) {
                driver in
                let before = try await driver.free()
                var count = 0
                while count < 16 {
                    let maximum = try await driver.capacity().maximumVolumeSize.value
                    if maximum < driver.settings.size { break }
                    _ = try await driver.volume(size: maximum)
                    count += 1
                }
                try await driver.expect(.resourceExhausted, of: driver.creation(size: driver.settings.size))
                let problems = await driver.undo()
                try require(problems.isEmpty, problems.joined(separator: "; "))
                try requireEqual(try await driver.free(), before, "afterwards")
                return "\(count) volumes filled \(mebibytes(before))"
            },
            Check("capabilities that nobody can have leave no room", needs: [.capacity]) { driver in
                let request = Csi_V1_GetCapacityRequest.with {
                    $0.parameters = driver.settings.parameters
                    $0.volumeCapabilities = [.mount("ext4", .multiNodeMultiWriter)]
                }
                do {
                    let free = try await driver.send(request).availableCapacity
                    try require(
                        try await driver.outcome(driver.creation("many", .mount("ext4", .multiNodeMultiWriter))) == .ok
                            || free == 0, "\(free) bytes for a volume that is refused")
                    return mebibytes(free)
                } catch let error as RPCError where error.code == .invalidArgument {
                    return "INVALID_ARGUMENT"
                }
            },
        ])
}
