/// A protobuf message as what is on the wire: fields in order, nothing checked.
struct Wire: Sendable {
    enum Value: Sendable {
        case varint(UInt64)
        case bytes([UInt8])
        case message(Wire)
        case fixed32(UInt32)
        case fixed64(UInt64)
    }

    struct Entry: Sendable {
        var number: Int
        var value: Value
    }

    var entries: [Entry] = []

    init(_ entries: [Entry] = []) {
        self.entries = entries
    }

    /// Reads what a serializer wrote; nested messages are read where the fields say that there are some.
    init(parsing bytes: [UInt8], as fields: [Field]) {
        var rest = bytes[...]
        while let tag = Self.varint(&rest) {
            let number = Int(truncatingIfNeeded: tag >> 3)
            switch tag & 7 {
            case 0: entries.append(Entry(number: number, value: .varint(Self.varint(&rest) ?? 0)))
            case 2:
                let count = Int(truncatingIfNeeded: Self.varint(&rest) ?? 0)
                let content = Array(rest.prefix(count))
                rest = rest.dropFirst(count)
                entries.append(Entry(number: number, value: Self.value(content, of: number, in: fields)))
            // csi.proto has no other types.
            default: return
            }
        }
    }

    private static func value(_ content: [UInt8], of number: Int, in fields: [Field]) -> Value {
        switch fields.first(where: { $0.number == number })?.kind {
        case .message(let nested): .message(Wire(parsing: content, as: nested))
        case .map: .message(Wire(parsing: content, as: [Field(1, .text), Field(2, .text)]))
        default: .bytes(content)
        }
    }

    private static func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = bytes.popFirst() {
            result |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return result }
            shift += 7
        }
        return nil
    }

    var serialized: [UInt8] {
        entries.reduce(into: []) { bytes, entry in
            switch entry.value {
            case .varint(let value): Self.append([Self.tag(entry, 0), value], to: &bytes)
            case .bytes(let content): Self.append(content, entry, to: &bytes)
            case .message(let message): Self.append(message.serialized, entry, to: &bytes)
            case .fixed32(let value):
                Self.append([Self.tag(entry, 5)], to: &bytes)
                withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
            case .fixed64(let value):
                Self.append([Self.tag(entry, 1)], to: &bytes)
                withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
            }
        }
    }

    private static func tag(_ entry: Entry, _ type: UInt64) -> UInt64 {
        UInt64(truncatingIfNeeded: entry.number) << 3 | type
    }

    private static func append(_ content: [UInt8], _ entry: Entry, to bytes: inout [UInt8]) {
        append([tag(entry, 2), UInt64(content.count)], to: &bytes)
        bytes += content
    }

    private static func append(_ values: [UInt64], to bytes: inout [UInt8]) {
        for var value in values {
            while value >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
                value >>= 7
            }
            bytes.append(UInt8(truncatingIfNeeded: value))
        }
    }
}
