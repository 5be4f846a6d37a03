/// How the namespace below a volume is used: with DAX and byte addressing, or with sector atomicity (BTT).
package enum NamespaceMode: String, Sendable, CaseIterable, Codable {
    case fsdax
    case sector
}

/// The StorageClass parameters that a volume is made with, checked and with defaults applied.
///
/// Unknown keys are refused by name, except those that Kubernetes adds itself
/// (`csi.storage.k8s.io/*`, `storage.kubernetes.io/*`).
package struct VolumeParameters: Sendable, Equatable, Codable {
    package var mode: NamespaceMode = .fsdax
    /// Whether DeleteVolume overwrites the volume with zeroes before its space is used again.
    package var eraseAfter = true

    package init() {}

    /// The second map wins over the first (CSI, CreateVolumeRequest.mutable_parameters).
    package init(_ parameters: [String: String], mutable: [String: String] = [:]) throws(DeviceError) {
        try apply(parameters)
        try apply(mutable)
    }

    /// Changes what the map says and leaves the rest as it is.
    package mutating func apply(_ parameters: [String: String]) throws(DeviceError) {
        if let value = parameters["eraseafter"], let other = parameters["eraseAfter"], value != other {
            throw DeviceError(
                .invalidArgument, "parameters: eraseafter is \"\(value)\", eraseAfter is \"\(other)\"; give one of them"
            )
        }
        for (key, value) in parameters {
            switch key {
            case "nsmode": mode = try Self.mode(value)
            case "eraseafter", "eraseAfter": eraseAfter = try Self.boolean(value, key: key)
            case let key where Self.isKubernetes(key): continue
            default:
                throw DeviceError(
                    .invalidArgument, "parameters: unknown key \"\(key)\"; the known ones are eraseafter and nsmode")
            }
        }
    }

    /// What the volume context says of the parameters.
    package var context: [String: String] {
        ["nsmode": mode.rawValue, "eraseafter": eraseAfter ? "true" : "false"]
    }

    private static func isKubernetes(_ key: String) -> Bool {
        key.hasPrefix("csi.storage.k8s.io/") || key.hasPrefix("storage.kubernetes.io/")
    }

    private static func mode(_ value: String) throws(DeviceError) -> NamespaceMode {
        guard let mode = NamespaceMode(rawValue: value) else {
            throw DeviceError(.invalidArgument, "parameters: nsmode is \"\(value)\"; it can be fsdax or sector")
        }
        return mode
    }

    /// Go's spellings, as StorageClasses written for pmem-csi use them.
    private static func boolean(_ value: String, key: String) throws(DeviceError) -> Bool {
        switch value {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default:
            throw DeviceError(.invalidArgument, "parameters: \(key) is \"\(value)\"; it can be true or false")
        }
    }
}
