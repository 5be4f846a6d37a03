import CSIProto
import GRPCCore
import SwiftProtobuf

/// A few live volumes in different states, which valid requests are about.
///
/// Owned by the fuzzer, which has it put in order again after every request that changed something.
struct World {
    enum Place: CaseIterable {
        case made, attached, staged, published, readOnly, block
    }

    let driver: Driver
    private(set) var volumes: [Volume] = []
    private(set) var snapshot = ""
    private var places: [Place] = []

    init(driver: Driver) async throws {
        self.driver = driver
        for place in Place.allCases where place != .block || driver.offers(.block) {
            places.append(place)
            volumes.append(try await driver.volume("live-\(place)", place == .block ? .block() : nil))
        }
        if driver.offers(.snapshots) { snapshot = try await volumes[0].snapshotIt("conformance-live").snapshotID }
        for index in volumes.indices { try await bring(index) }
    }

    /// What the ledger holds when all is in order.
    var holdings: Ledger.Holdings {
        var wanted = Ledger.Holdings()
        wanted.volumes = volumes.map(\.id)
        wanted.snapshots = snapshot.isEmpty ? [] : [snapshot]
        for (volume, place) in zip(volumes, places) {
            if place != .made, driver.offers(.attach) { wanted.attached.append(volume.id) }
            guard place != .made, place != .attached else { continue }
            if driver.offers(.stage) { wanted.staged.append(.init(volume: volume.id, path: volume.staging)) }
            if place != .staged { wanted.published.append(.init(volume: volume.id, path: volume.target)) }
        }
        return wanted
    }

    /// Takes back what a request made, makes again what it removed; `spoiled` volumes are made anew.
    mutating func settle(spoiled: String? = nil) async throws {
        var kept = holdings
        if let spoiled {
            kept.volumes.removeAll { $0 == spoiled }
            kept.attached.removeAll { $0 == spoiled }
            kept.staged.removeAll { $0.volume == spoiled }
            kept.published.removeAll { $0.volume == spoiled }
        }
        var problems = await driver.undo(keeping: kept)
        // A volume that has lost its staging path is only staged again when it is published nowhere.
        let staged = Set(driver.ledger.holdings.staged.map(\.volume))
        if driver.offers(.stage) { kept.published.removeAll { !staged.contains($0.volume) } }
        problems += await driver.undo(keeping: kept)
        // Reported once: the next request must not suffer from it.
        driver.ledger.abandon(keeping: kept)
        try require(problems.isEmpty, problems.joined(separator: "; "))
        let held = driver.ledger.holdings
        for index in volumes.indices {
            let id = volumes[index].id
            if !held.volumes.contains(id) { volumes[index] = try await driver.create(volumes[index].request) }
            try await bring(index)
        }
        if !snapshot.isEmpty, !held.snapshots.contains(snapshot) {
            snapshot = try await volumes[0].snapshotIt("conformance-live").snapshotID
        }
    }

    /// Only what is missing, by the ledger.
    private func bring(_ index: Int) async throws {
        let (volume, place, held) = (volumes[index], places[index], driver.ledger.holdings)
        guard place != .made else { return }
        if driver.offers(.attach), !held.attached.contains(volume.id) { try await driver.patiently(volume.attachment) }
        guard place != .attached else { return }
        try volume.makeDirectories()
        if driver.offers(.stage), !held.staged.contains(.init(volume: volume.id, path: volume.staging)) {
            try await driver.patiently(volume.stage)
        }
        guard place != .staged, !held.published.contains(.init(volume: volume.id, path: volume.target)) else { return }
        try await driver.patiently(volume.publish.changing { $0.readonly = place == .readOnly })
    }

    /// The mounts must be those of the ledger, no more and no fewer.
    func check() throws {
        let wanted = holdings
        let places = Set(wanted.published.map(\.path))
        let seen = Set(try Disk.mounts(below: driver.settings.work).map(\.point))
        // What stands at a staging path is the driver's own affair.
        let staged = wanted.staged.map(\.path)
        let difference = places.symmetricDifference(seen).filter { path in
            !staged.contains { path == $0 || path.hasPrefix($0 + "/") }
        }
        try require(difference.isEmpty, "mounted and not wanted, or the other way: \(difference.sorted())")
    }

    /// A valid request of each call, about one of the volumes.
    func request(_ random: inout SplitMix64) throws -> any Call {
        let volume = volumes[random.index(below: volumes.count)]
        let act = Act.allCases[random.index(below: Act.allCases.count)]
        switch random.index(below: 12) {
        case 0: return random.pick(Self.plain, or: Csi_V1_ProbeRequest())
        case 1: return driver.offers(.ephemeral) ? try driver.ephemeral("fuzz") : volume.publish
        case 2: return driver.creation("fuzz", volume.capability)
        case 3:
            let source = random.oneIn(2) && !snapshot.isEmpty ? Source.snapshot(snapshot) : .volume(volume.id)
            return driver.creation("copy", volume.capability).changing { $0.volumeContentSource = source.message }
        case 4: return Csi_V1_GetSnapshotRequest.with { $0.snapshotID = snapshot }
        // What works on paths and mounts can do the most harm.
        case 5: return random.pick([volume.stage, volume.publish, volume.publish], or: volume.publish)
        case 6: return random.pick([volume.unstage, volume.unpublish, volume.unpublish], or: volume.unpublish)
        default: return act.call(volume) ?? volume.validation
        }
    }

    private static let plain: [any Call] = [
        Csi_V1_ProbeRequest(), Csi_V1_GetPluginInfoRequest(), Csi_V1_GetPluginCapabilitiesRequest(),
        Csi_V1_ControllerGetCapabilitiesRequest(), Csi_V1_NodeGetCapabilitiesRequest(), Csi_V1_NodeGetInfoRequest(),
        Csi_V1_GroupControllerGetCapabilitiesRequest(), Csi_V1_GetVolumeGroupSnapshotRequest(),
        Csi_V1_DeleteVolumeGroupSnapshotRequest(), Csi_V1_CreateVolumeGroupSnapshotRequest(),
        Csi_V1_ListSnapshotsRequest(), Csi_V1_ListVolumesRequest(),
    ]
}
