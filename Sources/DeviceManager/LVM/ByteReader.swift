/// Little-endian numbers and text out of foreign bytes. Owned by one parse; a place beyond the end is an error, never
/// a trap.
struct ByteReader {
    let bytes: [UInt8]
    let device: String

    func slice(_ offset: Int, _ count: Int) throws(LVMError) -> ArraySlice<UInt8> {
        let (end, overflow) = offset.addingReportingOverflow(count)
        guard offset >= 0, count >= 0, !overflow, end <= bytes.count else {
            throw LVMError(.malformed, "\(device): LVM metadata ends at byte \(bytes.count), before \(end)")
        }
        return bytes[offset..<end]
    }

    func text(_ offset: Int, _ count: Int) throws(LVMError) -> String {
        String(decoding: try slice(offset, count), as: UTF8.self)
    }

    func uint32(_ offset: Int) throws(LVMError) -> UInt32 {
        try slice(offset, 4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    func uint64(_ offset: Int) throws(LVMError) -> UInt64 {
        try slice(offset, 8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// LVM's checksum: CRC-32 with a start value of its own and without the final inversion.
    func checksum(_ range: Range<Int>) throws(LVMError) -> UInt32 {
        try slice(range.lowerBound, range.count).reduce(0xf597_a6cf) { crc, byte in
            var crc = crc ^ UInt32(byte)
            for _ in 0..<8 {
                crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1
            }
            return crc
        }
    }
}
