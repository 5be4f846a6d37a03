import Host

/// The copy of one volume's content to a new device, both files or block devices, block by block.
///
/// Made by a device manager for one `copy`; what it leaves after an error is the manager's to remove. The destination
/// is on its medium when `run` returns.
struct DeviceCopy: Sendable {
    /// Whose content it is, for messages.
    let volume: VolumeID
    let source: String
    let destination: String
    /// Bytes of the source; the destination has at least as many.
    let size: UInt64
    /// The destination reads as zeroes, so the holes of the source need not be written.
    let skipsHoles: Bool
    let progress: @Sendable (UInt64) -> Bool

    /// Copied to find out how fast it goes, before anybody is held up.
    private static let sample: UInt64 = 64 << 20

    func run(_ use: CopySource.Use) async throws(DeviceError) {
        switch use {
        case .none: try await blockingDevice(on: .copying) { try copyAtRest() }
        case .mounted(let freeze): try await blockingDevice(on: .copying) { try copy(holding: freeze) }
        case .raw: throw Self.inRawUse(volume)
        }
    }

    static func inRawUse(_ volume: VolumeID) -> DeviceError {
        DeviceError(
            .failedPrecondition,
            "volume \(volume) is in use as a raw block device, or mounted out of sight, so it cannot be held still for "
                + "a copy; unpublish it first")
    }

    private func copyAtRest() throws {
        let content = try ContentCopy(from: source, to: destination, size: size)
        try copyAll(content, extents: skipsHoles ? try content.extents() : [0..<size])
        try content.flush()
    }

    private func copy(holding freeze: Freeze) throws {
        let content = try ContentCopy(from: source, to: destination, size: size)
        let sampled = try measure(content, freeze)
        try freeze.hold { isOver in
            // What was sampled is copied again, holes too: it may have changed, and a hole may be new.
            var extents = [0..<sampled]
            if sampled < size {
                extents += skipsHoles ? try content.extents().compactMap { $0.from(sampled) } : [sampled..<size]
            }
            try copyAll(content, extents: extents) {
                guard !isOver() else { throw tooSlow(freeze, "the copy was stopped after \(freeze.limit)") }
            }
        }
        try content.flush()
    }

    /// Copies a first part while everything goes on.
    ///
    /// Throws `failedPrecondition` when the whole would take longer than the writers may wait. Returns how much it was.
    private func measure(_ content: borrowing ContentCopy, _ freeze: Freeze) throws -> UInt64 {
        guard size > Self.sample else { return 0 }
        let start = ContinuousClock.now
        guard try content.copy(0..<Self.sample, goOn: { _ in progress(0) }) else { throw stopped }
        let took = ContinuousClock.now - start
        let extents = skipsHoles ? try content.extents() : [0..<size]
        let rest = extents.compactMap { $0.from(Self.sample) }.reduce(0) { $0 + UInt64($1.count) }
        let expected = took * (Double(Self.sample + rest) / Double(Self.sample))
        guard expected <= freeze.limit else {
            throw tooSlow(freeze, "a copy would hold its writers up for about \(expected.components.seconds + 1) s")
        }
        return Self.sample
    }

    private func copyAll(
        _ content: borrowing ContentCopy, extents: [Range<UInt64>], check: () throws -> Void = {}
    ) throws {
        for extent in extents {
            let finished = try content.copy(extent) { done in
                try check()
                return progress(done)
            }
            guard finished else { throw stopped }
        }
        _ = progress(size)
    }

    private func tooSlow(_ freeze: Freeze, _ what: String) -> DeviceError {
        DeviceError(
            .failedPrecondition,
            "volume \(volume) is mounted and \(what), longer than the \(freeze.limit) that -snapshotFreezeSeconds "
                + "allows; unmount it first or raise that limit")
    }

    private var stopped: DeviceError {
        DeviceError(.aborted, "volume \(volume): the driver is stopping; its copy begins anew with the next call")
    }
}

extension Range<UInt64> {
    /// The part that does not lie below `start`.
    fileprivate func from(_ start: UInt64) -> Range? {
        let part = clamped(to: start..<Swift.max(start, upperBound))
        return part.isEmpty ? nil : part
    }
}
