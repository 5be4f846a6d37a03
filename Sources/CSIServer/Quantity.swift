/// Numbers of bytes as Kubernetes writes them: `1073741824`, `1Gi`, `1.5G`, `1e9`.
package enum Quantity {
    private static let suffixes: [String: (base: UInt64, exponent: Int)] = [
        "": (10, 0), "k": (10, 3), "M": (10, 6), "G": (10, 9), "T": (10, 12), "P": (10, 15), "E": (10, 18),
        "Ki": (2, 10), "Mi": (2, 20), "Gi": (2, 30), "Ti": (2, 40), "Pi": (2, 50), "Ei": (2, 60),
    ]

    /// Rounded up to whole bytes; nil when the text has another form, or the number does not fit in 63 bits.
    package static func bytes(_ text: String) -> UInt64? {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let whole = parts.first, number.contains(where: \.isNumber),
            let factor = factor(String(text[number.endIndex...]))
        else { return nil }
        var (result, overflow) = (UInt64(whole) ?? (whole.isEmpty ? 0 : .max)).multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        if parts.count == 2 {
            guard let rest = fraction(parts[1], of: factor) else { return nil }
            (result, overflow) = result.addingReportingOverflow(rest)
        }
        return overflow || result > Int64.max ? nil : result
    }

    /// A suffix, or a decimal exponent such as `e9`.
    private static func factor(_ suffix: String) -> UInt64? {
        if let (base, exponent) = suffixes[suffix] { return power(base, exponent) }
        guard let first = suffix.first, first == "e" || first == "E", let exponent = Int(suffix.dropFirst()) else {
            return nil
        }
        return (0...18).contains(exponent) ? power(10, exponent) : nil
    }

    private static func power(_ base: UInt64, _ exponent: Int) -> UInt64 {
        (0..<exponent).reduce(1) { result, _ in result * base }
    }

    /// The part behind the point: digits beyond the eighteenth are less than a byte, and count as one.
    private static func fraction(_ digits: Substring, of factor: UInt64) -> UInt64? {
        let used = digits.prefix(18)
        guard let value = used.isEmpty ? 0 : UInt64(used) else { return nil }
        let (high, low) = value.multipliedFullWidth(by: factor)
        let scale = power(10, used.count)
        guard high < scale else { return nil }
        let (quotient, remainder) = scale.dividingFullWidth((high, low))
        return quotient + (remainder > 0 || digits.dropFirst(18).contains { $0 != "0" } ? 1 : 0)
    }
}
