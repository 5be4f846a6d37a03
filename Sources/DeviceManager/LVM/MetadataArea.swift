/// The first metadata area of a physical volume, found through its label; the layout is that of LVM2's
/// `format_text/layout.h`. Owned by one read of a label; offsets are from the start of the device.
struct MetadataArea: Equatable {
    let dataStart: UInt64
    let isMarkedUsed: Bool
    let start: UInt64
    let size: UInt64
    /// Where the committed text lies within the area; nil where there is none.
    let text: Range<UInt64>?

    private static let sector = 512
    /// The text's head is enough: name, id and sequence number come first.
    private static let headLength = 1024
    private static let magic = " LVM2 x[5A%r0N*>"

    static func find(in file: borrowing DeviceReader) throws(LVMError) -> MetadataArea? {
        let head = try file.read(at: 0, count: 4 * sector)
        for place in stride(from: 0, to: head.bytes.count / sector * sector, by: sector)
        where try head.text(place, 8) + head.text(place + 24, 8) == "LABELONELVM2 001" {
            guard try head.uint32(place + 16) == head.checksum(place + 20..<place + sector) else {
                throw LVMError(.malformed, "\(file.device): the checksum of the LVM label is wrong")
            }
            return try MetadataArea(in: file, header: head, at: place + Int(head.uint32(place + 20)))
        }
        return nil
    }

    /// `place` is that of the header after the label: uuid, size, then the data areas and the metadata areas, each list
    /// ended by zeroes, then version and flags.
    private init(in file: borrowing DeviceReader, header head: ByteReader, at place: Int) throws(LVMError) {
        dataStart = try head.uint64(place + 40)
        let metadata = try Self.end(ofListAt: place + 40, in: head)
        let flags = try head.uint32(try Self.end(ofListAt: metadata, in: head) + 4)
        isMarkedUsed = flags & 1 == 1
        start = try head.uint64(metadata)
        guard start > 0 else {
            throw LVMError(.notFound, "\(file.device) is a physical volume without a metadata area")
        }
        let header = try file.read(at: start, count: Self.sector)
        guard try header.text(4, 16) == Self.magic else {
            throw LVMError(.malformed, "\(file.device): no metadata area where the LVM label says")
        }
        guard try header.uint32(0) == header.checksum(4..<Self.sector) else {
            throw LVMError(.malformed, "\(file.device): the checksum of the LVM metadata area is wrong")
        }
        size = try header.uint64(32)
        let (offset, length) = (try header.uint64(40), try header.uint64(48))
        // An area that vgchange told LVM to ignore keeps an old text.
        let ignored = try header.uint32(60) & 1 == 1
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !ignored else {
            throw LVMError(.notFound, "\(file.device): LVM ignores the metadata area of this device")
        }
        guard !overflow, offset <= size, length <= size else {
            throw LVMError(.malformed, "\(file.device): the LVM metadata lies outside its area")
        }
        text = length > 0 ? offset..<end : nil
    }

    private static func end(ofListAt start: Int, in head: ByteReader) throws(LVMError) -> Int {
        var place = start
        while try head.uint64(place) != 0 {
            place += 16
        }
        return place + 16
    }

    /// The head of the committed text. The area is a ring: a text that reaches its end goes on behind the header.
    func currentText(in file: borrowing DeviceReader) throws(LVMError) -> String? {
        guard let text else { return nil }
        let length = min(text.upperBound - text.lowerBound, UInt64(Self.headLength))
        let straight = min(length, size - text.lowerBound)
        let (place, overflow) = start.addingReportingOverflow(text.lowerBound)
        guard !overflow else {
            throw LVMError(.malformed, "the metadata area of \(file.device) points beyond any device")
        }
        var bytes = try file.read(at: place, count: Int(straight)).bytes
        if straight < length {
            bytes += try file.read(at: start + UInt64(Self.sector), count: Int(length - straight)).bytes
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The text right behind the header, where the first one ever is written; number 0 where it cannot be read.
    func firstText(in file: borrowing DeviceReader) throws(LVMError) -> MetadataSequence? {
        let bytes = try file.read(at: start + UInt64(Self.sector), count: Self.headLength).bytes
        guard bytes.contains(where: { $0 != 0 }) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        do {
            return try MetadataSequence(text: text, device: file.device)
        } catch {
            let name = text.split(separator: " ", maxSplits: 1).first ?? ""
            return MetadataSequence(group: String(name), groupID: "", number: 0)
        }
    }
}
