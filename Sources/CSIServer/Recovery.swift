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
            guard await start() else { return }
            await resumeDeletions()
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

    private func resumeDeletions() async {
        for record in pool.records.all where record.phase == .deleting {
            guard let id = VolumeID(record.id), !Task.isCancelled else { continue }
            do {
                try await gate.run(record.id) { try await pool.delete(id) }
                pool.logger.info("finished a deletion that was cut off", metadata: ["volume": "\(id)"])
            } catch {
                pool.logger.warning(
                    "a deletion that was cut off is not finished", metadata: ["volume": "\(id)", "error": "\(error)"])
            }
        }
    }
}

extension LocalPool {
    /// Joins records and devices.
    ///
    /// Throws when the devices cannot be listed; no record is ever removed because of that.
    func start() async throws {
        try await manager.start()
        for record in records.all where record.phase == .creating { await takeBack(record) }
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
        guard let id = VolumeID(record.id), record.phase != .creating else { return }
        do {
            guard let volume = try await manager.volume(id, location: record.location) else {
                let group = record.location ?? "unknown"
                logger.error("the device of a volume is missing", metadata: ["volume": "\(id)", "group": "\(group)"])
                return
            }
            guard record.location != volume.location || record.size != volume.size else { return }
            var record = record
            record.location = volume.location
            record.size = volume.size
            try await save(record)
        } catch {
            logger.error("a volume cannot be checked", metadata: ["volume": "\(id)", "error": "\(error)"])
        }
    }
}
