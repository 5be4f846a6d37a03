import Glibc

/// What LVM wrote at the head of a device, read without lvm. A snapshot owned by the caller; it trusts nothing before
/// magic and checksum agree.
package struct PhysicalVolumeLabel: Sendable, Equatable {
    package let dataStart: UInt64
    package let metadataSize: UInt64
    /// The group and its sequence number; nil where the device is in no group.
    package let sequence: MetadataSequence?
    /// In no group: the group whose metadata is the first in the area, or nil where none was ever written. So a
    /// physical volume that a killed vgcreate left can be told from one that held somebody's group.
    package let former: MetadataSequence?
    /// LVM's own mark that a group uses the device. Set without a group when vgcreate or vgextend was killed between
    /// writing the metadata and committing it; lvm then refuses the device.
    package let isMarkedUsed: Bool

    package init(
        dataStart: UInt64, metadataSize: UInt64, sequence: MetadataSequence?, former: MetadataSequence? = nil,
        isMarkedUsed: Bool = false
    ) {
        self.dataStart = dataStart
        self.metadataSize = metadataSize
        self.sequence = sequence
        self.former = former
        self.isMarkedUsed = isMarkedUsed
    }

    /// Nil where the device has no LVM label. The reads go through the page cache, which the kernel keeps true when
    /// lvm writes past it.
    package static func read(device: String) throws(LVMError) -> PhysicalVolumeLabel? {
        let file = try DeviceReader(device)
        // lvm may commit twice between our two reads and so overwrite the text: then the header has changed too.
        for _ in 0..<10 {
            guard let area = try MetadataArea.find(in: file) else { return nil }
            let text = try area.currentText(in: file)
            guard try MetadataArea.find(in: file) == area else { continue }
            return PhysicalVolumeLabel(
                dataStart: area.dataStart, metadataSize: area.size,
                sequence: try text.map { text throws(LVMError) in try MetadataSequence(text: text, device: device) },
                former: text == nil ? try area.firstText(in: file) : nil, isMarkedUsed: area.isMarkedUsed)
        }
        throw LVMError(.inUse, "\(device): the LVM metadata changes faster than it can be read")
    }
}

/// An open device, for reading; closes itself.
struct DeviceReader: ~Copyable {
    let device: String
    private let descriptor: Int32

    init(_ device: String) throws(LVMError) {
        descriptor = open(device, O_RDONLY | O_CLOEXEC)
        self.device = device
        guard descriptor >= 0 else {
            let reason = errno
            throw LVMError(
                reason == ENOENT || reason == ENXIO ? .notFound : .failed,
                "\(device) cannot be opened: \(String(cString: strerror(reason)))")
        }
    }

    deinit {
        if descriptor >= 0 {
            close(descriptor)
        }
    }

    /// Up to `count` bytes: fewer at the end of the device.
    func read(at offset: UInt64, count: Int) throws(LVMError) -> ByteReader {
        guard let position = off_t(exactly: offset) else {
            throw LVMError(.malformed, "\(device): LVM metadata points to byte \(offset)")
        }
        var bytes = [UInt8](repeating: 0, count: count)
        let length = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, count, position) }
        guard length >= 0 else {
            let reason = String(cString: strerror(errno))
            throw LVMError(.failed, "\(device) cannot be read at byte \(offset): \(reason)")
        }
        return ByteReader(bytes: Array(bytes.prefix(length)), device: device)
    }
}
