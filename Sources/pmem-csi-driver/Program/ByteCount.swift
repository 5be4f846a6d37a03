/// A number of bytes as people read it: `32 GiB`, `3.875 GiB`, `100 B`. The text is cut off, never rounded up, so it
/// does not promise more than there is.
package struct ByteCount: Sendable, Hashable, CustomStringConvertible {
    package let bytes: UInt64

    package init(_ bytes: UInt64) {
        self.bytes = bytes
    }

    package var description: String {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes >> UInt64(shift) > 0 {
            let whole = bytes >> UInt64(shift)
            // Below 2^40 after this shift, so that the product with 1000 fits.
            let rest = (bytes & (1 << UInt64(shift) - 1)) >> UInt64(shift - 10)
            return "\(whole)\(Self.decimals(rest * 1000 / 1024)) \(unit)"
        }
        return "\(bytes) B"
    }

    private static func decimals(_ thousandths: UInt64) -> String {
        guard thousandths > 0 else { return "" }
        var digits = String(String(1000 + thousandths).dropFirst())
        while digits.last == "0" {
            digits.removeLast()
        }
        return "." + digits
    }
}
