import CSIProto

/// The size limits of CSI section "Size Limits": 128 bytes for a string, 4 KiB for a map, 256 for a node id.
enum FieldLimits {
    static let string = 128
    static let map = 4096
    static let nodeID = 256
    /// PATH_MAX without the NUL.
    static let anyPath = 4095

    /// A string that must be there.
    static func required(_ value: String, _ field: String, limit: Int = string) throws(RequestError) -> String {
        guard !value.isEmpty else { throw RequestError(.invalidArgument, "\(field) is missing") }
        guard value.utf8.count <= limit else {
            throw RequestError(.invalidArgument, "\(field) has \(value.utf8.count) bytes; \(limit) are allowed")
        }
        return value
    }

    /// A path: absolute, at most PATH_MAX bytes, without a NUL.
    static func path(_ value: String, _ field: String) throws(RequestError) -> String {
        let value = try required(value, field, limit: anyPath)
        guard value.hasPrefix("/"), !value.utf8.contains(0) else {
            throw RequestError(.invalidArgument, "\(field) \"\(value)\" is not an absolute path")
        }
        guard !value.split(separator: "/").contains("..") else {
            throw RequestError(.invalidArgument, "\(field) \"\(value)\" contains \"..\"")
        }
        return value
    }

    /// A map, its keys and values together.
    static func map(_ value: [String: String], _ field: String) throws(RequestError) {
        let bytes = value.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        guard bytes <= map else {
            throw RequestError(.invalidArgument, "\(field) has \(bytes) bytes in all; \(map) are allowed")
        }
    }

    /// A path that may be left out.
    static func optionalPath(_ value: String, _ field: String) throws(RequestError) -> String? {
        value.isEmpty ? nil : try path(value, field)
    }

    /// The maps of a node call.
    static func maps(
        publishContext: [String: String], volumeContext: [String: String], secrets: [String: String]
    ) throws(RequestError) {
        try map(publishContext, "publish_context")
        try map(volumeContext, "volume_context")
        try map(secrets, "secrets")
    }

    /// Control characters that a name may not have (CSI, CreateVolumeRequest.name).
    static func name(_ value: String, _ field: String) throws(RequestError) -> String {
        let value = try required(value, field)
        let bad = value.unicodeScalars.first { scalar in
            switch scalar.value {
            case 0...0x08, 0x0B, 0x0C, 0x0E...0x1F, 0x7F...0x9F: true
            default: false
            }
        }
        if let bad {
            let code = String(bad.value, radix: 16, uppercase: true)
            throw RequestError(.invalidArgument, "\(field) contains the control character U+\(code)")
        }
        return value
    }
}
