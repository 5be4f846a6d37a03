import Synchronization

/// How far a copy may have come, kept for the case that it must be taken back.
final class CopyExtent: Sendable {
    private let offset = Atomic<UInt64>(0)
    /// Copied beyond what was told: a piece, and at the beginning what is copied to see how fast it goes.
    private static let margin: UInt64 = 64 << 20

    func reach(_ offset: UInt64) { self.offset.max(offset, ordering: .relaxed) }

    var end: UInt64 { offset.load(ordering: .relaxed) + Self.margin }
}

extension VolumeSpec {
    /// The same, but not smaller than what is copied into it.
    func holding(_ bytes: UInt64) -> VolumeSpec {
        let size = SizeRange(required: max(size.required, bytes), limit: size.limit)
        return VolumeSpec(id: id, name: name, size: size, parameters: parameters, kind: kind, source: source)
    }
}
