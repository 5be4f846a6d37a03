import CSIProto
import DeviceManager
import FoundationEssentials
import GRPCCore
import Host
import SwiftProtobuf
import Synchronization
import TestSupport
import Testing

@testable import CSIServer

/// The use of a copy's source on real mounts, and real freezes; the copies themselves are those in memory.
@Suite("Copies of mounted file systems", .enabled(if: isRoot, "needs root"), .timeLimit(.minutes(5)))
struct FreezeTests {
    private struct Source: Sendable {
        let driver: Driver
        let manager: InMemoryDeviceManager
        let directory: String
        let device: String
        let mountPoint: String

        /// A file system that is frozen already refuses to be frozen.
        var isFrozen: Bool {
            do throws(HostError) {
                try Filesystem.freeze(mountPoint)
            } catch {
                return error.code == .busy
            }
            try? Filesystem.thaw(mountPoint)
            return false
        }

        func snapshot() async throws { try await driver.snapshot("s", of: volumeA.rawValue) }
    }

    /// A driver with the volume "a", whose device is real and mounted.
    private func withSource(isMounted: Bool = true, _ body: (Source) async throws -> Void) async throws {
        let manager = InMemoryDeviceManager()
        try await LoopDevice.with(size: 16 << 20) { device in
            try await Filesystem.make(.ext4, on: BlockDevice(path: device))
            try await withDirectory { directory in
                let mountPoint = try makeDirectory("\(directory)/mount")
                defer { try? Filesystem.thaw(mountPoint) }
                if isMounted {
                    try Mounter.mount(device: device, at: mountPoint, type: .ext4, options: [], readOnly: false)
                }
                try await withDriver(manager, in: directory) { driver in
                    try await driver.create("a")
                    await manager.setPath(device, of: volumeA)
                    try await body(
                        Source(
                            driver: driver, manager: manager, directory: directory, device: device,
                            mountPoint: mountPoint))
                }
            }
        }
    }

    @Test(
        "a mounted one is frozen for the copy, recorded before, and thawed after it, whatever came of it",
        arguments: [true, false])
    func frozen(works: Bool) async throws {
        try await withSource { source in
            let seen = Mutex<(isFrozen: Bool, isRecorded: Bool)>((false, false))
            await source.manager.setWhileFrozen {
                let record = try source.driver.records.record(VolumeID(snapshot: "s", node: "node-1"))
                seen.withLock { $0 = (source.isFrozen, record?.isFreezing == true) }
                if !works { throw DeviceError(.failedPrecondition, "this takes too long") }
            }
            if works {
                try await source.snapshot()
                #expect(source.driver.records.all.map(\.isFreezing) == [false, false])
            } else {
                await expect(.failedPrecondition, "too long") { try await source.snapshot() }
                #expect(source.driver.records.all.map(\.id) == [volumeA.rawValue])
            }
            #expect(seen.withLock { $0 } == (true, true))
            #expect(!source.isFrozen)
        }
    }

    @Test("an unmounted one is not frozen")
    func unmounted() async throws {
        try await withSource(isMounted: false) { source in
            try await source.snapshot()
            guard case .some(.none) = await source.manager.use else {
                Issue.record("the volume is said to be in use")
                return
            }
        }
    }

    @Test("a raw device that is given out cannot be held still, mounted or not", arguments: [true, false])
    func raw(isMounted: Bool) async throws {
        try await withSource(isMounted: isMounted) { source in
            let target = "\(source.directory)/target"
            try write([], to: target)
            try Mounter.bind(from: source.device, to: target, readOnly: false)
            await expect(.failedPrecondition, "raw") { try await source.snapshot() }
            #expect(source.driver.records.all.map(\.id) == [volumeA.rawValue])
            try Mounter.unmount(target)
            try await source.snapshot()
        }
    }

    @Test("a mount that others lie on top of is not mistaken for them")
    func covered() async throws {
        try await withSource { source in
            let (below, above) = (source.mountPoint, try makeDirectory("\(source.directory)/other"))
            try await LoopDevice.with(size: 16 << 20) { device in
                try await Filesystem.make(.ext4, on: BlockDevice(path: device))
                try Mounter.bind(from: below, to: above, readOnly: false)
                try Mounter.mount(device: device, at: below, type: .ext4, options: [], readOnly: false)
                await source.manager.setWhileFrozen {
                    // The one on top can still be frozen, so it was not.
                    try Filesystem.freeze(below)
                    try Filesystem.thaw(below)
                }
                try await source.snapshot()
                try Mounter.unmount(below)
            }
        }
    }

    @Test("a driver that is killed while it copies thaws at its next start, even if that fails then")
    func killed() async throws {
        try await withSource { source in
            let left = "\(source.directory)/left"
            await source.manager.setWhileFrozen {
                _ = try makeDirectory(left)
                try FileManager.default.copyItem(atPath: "\(source.directory)/state", toPath: "\(left)/state")
            }
            let before = await source.manager.afterCrash()
            try await source.snapshot()
            try Filesystem.freeze(source.mountPoint)
            await before.add(VolumeID(snapshot: "s", node: "node-1"), size: 8 << 20)
            await before.fail(at: .start, DeviceError(.unavailable, "no devices yet"))
            await #expect(throws: DeviceError.self) { try await withDriver(before, in: left) { _ in } }
            #expect(!source.isFrozen)
            try await withDriver(before, in: left) { driver in
                // What is frozen now is no business of that copy any more.
                try Filesystem.freeze(source.mountPoint)
                try await driver.removeCutOffCopies()
                #expect(source.isFrozen)
                try Filesystem.thaw(source.mountPoint)
                #expect(driver.records.all.map(\.id) == [volumeA.rawValue])
                #expect(await before.ids == [volumeA])
                try await driver.snapshot("s", of: volumeA.rawValue)
            }
        }
    }

    @Test("what somebody else froze is not copied, and stays frozen")
    func foreign() async throws {
        try await withSource { source in
            try Filesystem.freeze(source.mountPoint)
            await expect(.failedPrecondition, "somebody else froze it") { try await source.snapshot() }
            #expect(source.isFrozen)
            #expect(source.driver.records.all.map(\.id) == [volumeA.rawValue])
            try Filesystem.thaw(source.mountPoint)
            try await source.snapshot()
        }
    }

    @Test("a copy that a shutdown stops leaves no word of its freeze: what somebody else freezes later stays frozen")
    func stopped() async throws {
        try await withSource { source in
            await source.manager.setWhileFrozen { throw DeviceError(.aborted, "the driver is stopping") }
            await expect(.aborted, "stopping") { try await source.snapshot() }
            #expect(source.driver.records.all.map(\.phase).contains(.creating))
            try Filesystem.freeze(source.mountPoint)
            await expect(.failedPrecondition, "somebody else froze it") { try await source.snapshot() }
            #expect(source.isFrozen)
        }
    }

    @Test("what an error left frozen the repetition of the call thaws")
    func repeated() async throws {
        try await withSource { source in
            let id = VolumeID(snapshot: "s", node: "node-1")
            let spec = VolumeSpec(
                id: id, name: "s", size: SizeRange(required: 8 << 20), parameters: .init(), kind: .snapshot,
                source: .volume(volumeA.rawValue))
            var record = VolumeRecord(spec: spec, capabilities: [], location: "ndbus0region0fsdax", created: 0)
            record.isFreezing = true
            try source.driver.records.save(record)
            try Filesystem.freeze(source.mountPoint)
            try await source.snapshot()
            #expect(!source.isFrozen)
            #expect(source.driver.records.all.map(\.phase) == [.ready, .ready])
        }
    }
}
