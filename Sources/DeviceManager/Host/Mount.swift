/// One line of a mount table, as proc(5) describes it, with the escapes decoded.
package struct Mount: Sendable, Hashable {
    package let id: Int
    package let parentID: Int
    package let device: DeviceNumber
    /// What of the file system is mounted: `/`, or the source of a bind mount within it.
    package let root: String
    package let mountPoint: String
    package let options: [String]
    package let type: String
    package let source: String
    package let superOptions: [String]

    /// Whether writing is refused here, by this mount or by the file system as a whole.
    package var isReadOnly: Bool {
        options.contains("ro") || superOptions.contains("ro")
    }
}

extension Mount {
    /// `36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/root rw,errors=continue`, in bytes, because a
    /// path may combine with the white space around it to one Character.
    init?(line: ArraySlice<UInt8>) {
        let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard fields.count >= 10, let dash = fields[6...].firstIndex(of: [UInt8(ascii: "-")]),
            fields.count >= dash + 4, let id = Int(Self.text(fields[0])), let parentID = Int(Self.text(fields[1])),
            let device = DeviceNumber(parsing: Self.text(fields[2]))
        else { return nil }
        self.id = id
        self.parentID = parentID
        self.device = device
        root = Self.text(fields[3])
        mountPoint = Self.text(fields[4])
        options = Self.words(fields[5])
        type = Self.text(fields[dash + 1])
        source = Self.text(fields[dash + 2])
        superOptions = Self.words(fields[dash + 3])
    }

    private static func words(_ field: ArraySlice<UInt8>) -> [String] {
        field.split(separator: UInt8(ascii: ",")).map(text)
    }

    /// The kernel writes white space and backslashes as three octal digits: `\040`.
    private static func text(_ field: ArraySlice<UInt8>) -> String {
        var bytes: [UInt8] = []
        var rest = field
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
