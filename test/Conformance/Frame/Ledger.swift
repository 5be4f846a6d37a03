import CSIProto
import GRPCCore
import SwiftProtobuf
import Synchronization

/// What calls that were answered OK have made and not taken back.
///
/// Owned by the driver; it is told of every answer, so that a check which fails in the middle leaves nothing.
final class Ledger: Sendable {
    struct Place: Hashable, Sendable {
        let volume: String
        let path: String
    }

    /// In the order in which they came.
    struct Holdings: Sendable, Equatable {
        var volumes: [String] = []
        var snapshots: [String] = []
        var attached: [String] = []
        var staged: [Place] = []
        var published: [Place] = []

        var isEmpty: Bool { self == Holdings() }
    }

    private let state = Mutex(Holdings())

    var holdings: Holdings { state.withLock { $0 } }

    /// Forgets what could not be taken back.
    func abandon(keeping kept: Holdings = .init()) {
        state.withLock { state in
            state.volumes.removeAll { !kept.volumes.contains($0) }
            state.snapshots.removeAll { !kept.snapshots.contains($0) }
            state.attached.removeAll { !kept.attached.contains($0) }
            state.staged.removeAll { !kept.staged.contains($0) || !state.volumes.contains($0.volume) }
            state.published.removeAll { !kept.published.contains($0) || !state.volumes.contains($0.volume) }
        }
    }

    func note(_ request: any Call, _ answer: any Message) {
        state.withLock { state in
            state.note(controller: request, answer)
            state.note(node: request)
        }
    }
}

extension Ledger.Holdings {
    fileprivate mutating func note(controller request: any Call, _ answer: any Message) {
        switch (request, answer) {
        case (_, let answer as Csi_V1_CreateVolumeResponse): volumes.add(answer.volume.volumeID)
        case (_, let answer as Csi_V1_CreateSnapshotResponse): snapshots.add(answer.snapshot.snapshotID)
        case (let request as Csi_V1_DeleteVolumeRequest, _): forget(request.volumeID)
        case (let request as Csi_V1_DeleteSnapshotRequest, _): snapshots.removeAll { $0 == request.snapshotID }
        case (let request as Csi_V1_ControllerPublishVolumeRequest, _): attached.add(request.volumeID)
        case (let request as Csi_V1_ControllerUnpublishVolumeRequest, _): attached.removeAll { $0 == request.volumeID }
        default: break
        }
    }

    fileprivate mutating func note(node request: any Call) {
        switch request {
        case let request as Csi_V1_NodeStageVolumeRequest:
            // A driver without a memory for paths cannot see that the volume is published there, and not staged.
            let place = Ledger.Place(volume: request.volumeID, path: request.stagingTargetPath)
            if !published.contains(place) { staged.add(place) }
        case let request as Csi_V1_NodeUnstageVolumeRequest:
            staged.removeAll { $0 == .init(volume: request.volumeID, path: request.stagingTargetPath) }
        case let request as Csi_V1_NodePublishVolumeRequest:
            published.add(.init(volume: request.volumeID, path: request.targetPath))
        case let request as Csi_V1_NodeUnpublishVolumeRequest:
            // Nor that a staging path is none to be unpublished.
            let place = Ledger.Place(volume: request.volumeID, path: request.targetPath)
            published.removeAll { $0 == place }
            staged.removeAll { $0 == place }
        default: break
        }
    }

    /// A volume that is gone has left its attachment too; a mount that stays is for its owner to take down.
    private mutating func forget(_ volume: String) {
        volumes.removeAll { $0 == volume }
        attached.removeAll { $0 == volume }
    }
}

extension Array where Element: Equatable {
    fileprivate mutating func add(_ element: Element) {
        if !contains(element) { append(element) }
    }
}

extension Driver {
    /// Takes back everything in the ledger, or what `keeping` does not hold; returns what went wrong.
    func undo(keeping kept: Ledger.Holdings = .init()) async -> [String] {
        let held = ledger.holdings
        var calls: [any Call] = held.published.filter { !kept.published.contains($0) }.reversed().map { place in
            Csi_V1_NodeUnpublishVolumeRequest.with { ($0.volumeID, $0.targetPath) = (place.volume, place.path) }
        }
        calls += held.staged.filter { !kept.staged.contains($0) }.map { place in
            Csi_V1_NodeUnstageVolumeRequest.with { ($0.volumeID, $0.stagingTargetPath) = (place.volume, place.path) }
        }
        calls += held.attached.filter { !kept.attached.contains($0) }.map { id in
            Csi_V1_ControllerUnpublishVolumeRequest.with { ($0.volumeID, $0.nodeID) = (id, facts.node.nodeID) }
        }
        calls += held.snapshots.filter { !kept.snapshots.contains($0) }.map { id in
            Csi_V1_DeleteSnapshotRequest.with { $0.snapshotID = id }
        }
        calls += held.volumes.filter { !kept.volumes.contains($0) }.reversed().map { id in
            Csi_V1_DeleteVolumeRequest.with { $0.volumeID = id }
        }
        var problems: [String] = []
        for call in calls {
            do { try await patiently(call) } catch { problems.append("cleaning up: \(describe(error))") }
        }
        return problems
    }

    /// Repeats a call while the driver says that something else is under way.
    func patiently<Request: Call>(_ request: Request) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while true {
            let isLast = ContinuousClock.now > end
            if try await expect(isLast ? [.ok] : [.ok, .aborted], of: request, "") == .ok { return }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
