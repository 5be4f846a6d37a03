import DeviceManager
import Logging
import ServiceLifecycle

/// Brings the pool up: looks at the devices until that works, then finishes or takes back what a crash or a shutdown
/// cut off. Owned by the assembly; it ends with the driver.
package struct Recovery: Service {
    private let pool: LocalPool
    private let gate: OperationGate

    package init(pool: LocalPool, gate: OperationGate) {
        self.pool = pool
        self.gate = gate
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            // Before anything is served: a creation that is under way later looks like one that was cut off.
            let unfinished = pool.records.all.filter { $0.phase == .deleting || $0.mayHoldCopy }
            guard await start() else { return }
            for record in unfinished where !Task.isCancelled { await finish(record) }
            try? await gracefulShutdown()
        }
    }

    /// Tries until it works, with growing pauses up to 30 seconds; false when the driver is stopping.
    private func start() async -> Bool {
        var pause = Duration.seconds(1)
        while !Task.isCancelled {
            do {
                try await pool.start()
                return true
            } catch {
                pool.set(.failed("\(error)"))
                pool.logger.error("the device manager does not work", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(30))
        }
        return false
    }

    /// In the background, since overwriting may take long.
    private func finish(_ record: VolumeRecord) async {
        guard let id = VolumeID(record.id) else { return }
        let what = record.phase == .deleting ? "deletion" : "copy"
        do {
            // An ephemeral volume's callers know it by Kubernetes' id, which is its name.
            try await gate.run(record.id, record.kind == .ephemeral ? record.name : record.id) {
                try await pool.finishRemoval(id)
            }
            pool.logger.info("removed what a \(what) left that was cut off", metadata: ["volume": "\(id)"])
        } catch {
            pool.logger.warning(
                "what a \(what) left that was cut off is not removed",
                metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }
}

extension LocalPool {
    /// Joins records and devices.
    ///
    /// Throws when the devices cannot be listed; no record is ever removed because of that.
    func start() async throws {
        await thawSources()
        try await manager.start()
        for record in records.all where record.phase == .creating && !record.mayHoldCopy { await takeBack(record) }
        for record in records.all where record.phase == .promised { await renewPromise(record) }
        for record in records.all where record.expandedFrom != nil && record.phase == .ready { await grow(record) }
        let devices = try await manager.volumes()
        for record in records.all { await check(record) }
        // A record that cannot be read is its own volume's trouble, not the driver's.
        for device in devices where (try? records.record(device.id) == nil) ?? false {
            logger.warning(
                "a volume has no record and is left alone; csictl adopt can rebuild it",
                metadata: ["volume": "\(device.id)", "group": "\(device.location)"])
        }
        set(.ready)
    }

    /// Before anything that may take long or fail: until then the writers of these file systems stand still. Afterwards a
    /// freeze is somebody else's, such as that of the next copy.
    private func thawSources() async {
        for var record in records.all where record.isFreezing {
            do {
                try await thawSource(of: record)
                record.isFreezing = false
                try await save(record)
            } catch {
                // Taking the copy back tries again.
                logger.warning(
                    "a file system may be frozen", metadata: ["for": "\(record.id)", "error": "\(error)"])
            }
        }
    }

    /// Of a deletion or a copy that was cut off, unless a repeated call has ended that meanwhile.
    func finishRemoval(_ id: VolumeID) async throws {
        guard let record = try records.record(id), record.phase == .deleting || record.mayHoldCopy else { return }
        try await remove(record, id)
    }

    /// An expansion that was cut off; where it cannot be finished now, the next use of the volume tries again.
    private func grow(_ record: VolumeRecord) async {
        do {
            guard try await finishExpansion(record).expandedFrom == nil else { return }
            logger.info("finished an expansion that was cut off", metadata: ["volume": "\(record.id)"])
        } catch {
            logger.warning(
                "an expansion that was cut off is not finished",
                metadata: ["volume": "\(record.id)", "error": "\(error)"])
        }
    }

    /// A creation that was never answered; where it cannot be taken back now, its record stays for the next time.
    private func takeBack(_ record: VolumeRecord) async {
        guard let id = VolumeID(record.id) else { return }
        do {
            try await discard(record, id)
            logger.info("took back a creation that was cut off", metadata: ["volume": "\(id)"])
        } catch {
            logger.error(
                "a creation that was cut off is not taken back", metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }

    /// A record whose volume is not there is kept: its region may come back.
    private func check(_ record: VolumeRecord) async {
        guard let id = VolumeID(record.id), ![.creating, .promised].contains(record.phase) else { return }
        do {
            guard let volume = try await manager.volume(id, location: record.location) else {
                let group = record.location ?? "unknown"
                logger.error("the device of a volume is missing", metadata: ["volume": "\(id)", "group": "\(group)"])
                return
            }
            // A change of the parameters may have been cut off before the backend heard of it.
            if record.phase == .ready {
                try await manager.update(id, location: volume.location, parameters: record.parameters)
            }
            guard record.location != volume.location || record.size != volume.size else { return }
            var record = record
            record.become(volume)
            try await save(record)
        } catch {
            logger.error("a volume cannot be checked", metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }
}
