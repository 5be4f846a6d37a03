import CNdctl

/// The sixteen bytes of a UUID, as libndctl takes and gives them.
struct UUIDBytes {
    private var bytes: [UInt8]

    static func random() -> UUIDBytes {
        var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        // RFC 4122, 4.4: version 4, and the variant of that document.
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        return UUIDBytes(bytes: bytes)
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    init(of namespace: OpaquePointer) {
        bytes = Array(repeating: 0, count: 16)
        bytes.withUnsafeMutableBufferPointer { ndctl_namespace_get_uuid(namespace, $0.baseAddress) }
    }

    /// Calls `body` with what C calls a uuid_t.
    mutating func withPointer(_ body: (UnsafeMutablePointer<UInt8>?) -> Int32) -> Int32 {
        bytes.withUnsafeMutableBufferPointer { body($0.baseAddress) }
    }

    /// Lower case, with dashes; nil for the UUID of zeroes, which stands for none.
    var text: String? {
        guard bytes.contains(where: { $0 != 0 }) else { return nil }
        var result = ""
        for (index, byte) in bytes.enumerated() {
            result += [4, 6, 8, 10].contains(index) ? "-" : ""
            result += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return result
    }
}
