/// The StorageClass parameters of a volume on a storage node. Every key is taken, known or not, and goes into the volume
/// context as it is, as spdk-csi does it; known ones are checked.
package struct LvolParameters: Sendable, Equatable {
    /// Rate limits: operations or MiB per second, 0 for none. They may change during a volume's life.
    package static let limitKeys = ["rw_ios_per_sec", "rw_mbytes_per_sec", "r_mbytes_per_sec", "w_mbytes_per_sec"]

    /// All that was given.
    package private(set) var values: [String: String] = [:]
    /// The storage node, and the logical volume store; nil for any.
    package var node: String? { values["node"] }
    package var store: String? { values["lvstore"] }
    package private(set) var provisioning = Provisioning.thin
    /// What becomes of the content of blocks at the volume's deletion: none, unmap or write_zeroes. SPDK hands out freed
    /// clusters as they are, to thin volumes too: what the first write to one leaves out shows what was there before. And
    /// unmapped blocks read as zeroes on some devices only.
    package private(set) var clearing = "write_zeroes"
    /// Whether only hosts that the volume was published to may see it. Without the key any host may, as with spdk-csi.
    package private(set) var isGuarded = false
    package private(set) var limits: [String: UInt64] = [:]

    package init() {}

    package mutating func apply(_ parameters: [String: String]) throws(DeviceError) {
        values.merge(parameters) { $1 }
        for (key, value) in parameters {
            switch key {
            case "provisioning":
                guard let provisioning = Provisioning(rawValue: value) else {
                    throw Self.wrong(key, value, "thin or thick")
                }
                self.provisioning = provisioning
            case "clearMethod":
                guard ["none", "unmap", "write_zeroes"].contains(value) else {
                    throw Self.wrong(key, value, "none, unmap or write_zeroes")
                }
                clearing = value
            case "access":
                guard ["host", "any"].contains(value) else { throw Self.wrong(key, value, "host or any") }
                isGuarded = value == "host"
            case "node", "lvstore":
                guard !value.isEmpty else { throw Self.wrong(key, value, "a name") }
            case let key where Self.limitKeys.contains(key): limits[key] = try Self.limit(key, value)
            default: continue
            }
        }
        var timeouts = PathTimeouts()
        try timeouts.apply(parameters)
    }

    private static func limit(_ key: String, _ value: String) throws(DeviceError) -> UInt64 {
        // SPDK counts operations in thousands.
        guard let number = UInt64(value), number <= 1 << 40, key != "rw_ios_per_sec" || number % 1000 == 0 else {
            throw wrong(
                key, value, key == "rw_ios_per_sec" ? "0 for none, or a multiple of 1000" : "0 for none, or a number")
        }
        return number
    }

    private static func wrong(_ key: String, _ value: String, _ possible: String) -> DeviceError {
        DeviceError(.invalidArgument, "parameters: \(key) is \"\(value)\"; it can be \(possible)")
    }
}
