package import Glibc

/// A device's major and minor number, as the kernel writes them: `259:0`.
package struct DeviceNumber: Sendable, Hashable, CustomStringConvertible {
    package let major: UInt32
    package let minor: UInt32

    package init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// Takes glibc's dev_t apart, whose macros Swift cannot import.
    package init(rawValue: dev_t) {
        let value = UInt64(rawValue)
        major = UInt32(truncatingIfNeeded: (value >> 8) & 0xfff | (value >> 32) & 0xffff_f000)
        minor = UInt32(truncatingIfNeeded: value & 0xff | (value >> 12) & 0xffff_ff00)
    }

    package init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else { return nil }
        self.init(major: major, minor: minor)
    }

    package var description: String { "\(major):\(minor)" }
}
