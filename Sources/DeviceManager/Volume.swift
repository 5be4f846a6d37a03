/// A size in bytes that a caller accepts: at least `required`, at most `limit` (nil: no limit).
package struct SizeRange: Sendable, Equatable {
    package let required: UInt64
    package let limit: UInt64?

    package init(required: UInt64, limit: UInt64? = nil) {
        self.required = required
        self.limit = limit
    }

    package func contains(_ size: UInt64) -> Bool {
        size >= required && size <= limit ?? .max
    }

    /// Throws `outOfRange` when the volume is too large for the range already.
    package func checkLimit(for id: some CustomStringConvertible, of size: UInt64) throws(DeviceError) {
        guard let limit, size > limit else { return }
        throw DeviceError(
            .outOfRange,
            "capacity_range: volume \(id) has \(size) bytes, more than limit_bytes \(limit), and cannot shrink")
    }

    /// The smallest multiple of `unit` in the range.
    ///
    /// Throws `outOfRange` where the range holds none.
    package func size(multipleOf unit: UInt64) throws(DeviceError) -> UInt64 {
        let (units, remainder) = max(required, 1).quotientAndRemainder(dividingBy: unit)
        let (size, overflow) = (remainder == 0 ? units : units + 1).multipliedReportingOverflow(by: unit)
        guard !overflow, contains(size) else {
            let limit = limit.map { "\($0)" } ?? "none"
            throw DeviceError(
                .outOfRange,
                "capacity_range: no multiple of \(unit) bytes lies between required_bytes \(required) and limit_bytes \(limit)"
            )
        }
        return size
    }
}

/// What a volume is to be.
package struct VolumeSpec: Sendable {
    package let id: VolumeID
    package let name: String
    package let size: SizeRange
    package let parameters: VolumeParameters
    package let kind: VolumeRecord.Kind
    /// Whose content it begins with; nil for an empty one.
    package let source: VolumeRecord.Source?

    package init(
        id: VolumeID, name: String, size: SizeRange, parameters: VolumeParameters, kind: VolumeRecord.Kind = .volume,
        source: VolumeRecord.Source? = nil
    ) {
        self.id = id
        self.name = name
        self.size = size
        self.parameters = parameters
        self.kind = kind
        self.source = source
    }
}

/// A volume as its backend knows it.
package struct Volume: Sendable, Equatable {
    package let id: VolumeID
    /// Usable bytes.
    package let size: UInt64
    /// Where the backend keeps it, such as the name of a volume group.
    package let location: String

    package init(id: VolumeID, size: UInt64, location: String) {
        self.id = id
        self.size = size
        self.location = location
    }
}

/// Room for volumes of one kind, in bytes.
package struct Capacity: Sendable, Equatable {
    /// The sum of free space.
    package var available: UInt64 = 0
    /// The largest volume that could be made now.
    package var maximumVolumeSize: UInt64 = 0
    /// The smallest volume that is ever made.
    package var minimumVolumeSize: UInt64 = 0
    /// Free and used space together.
    package var total: UInt64 = 0

    package init() {}
}
