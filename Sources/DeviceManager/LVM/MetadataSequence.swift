/// How often a volume group has changed, straight from one of its physical volumes in about half a millisecond. Each
/// committed change adds one; so a number that grew by exactly our own changes proves that nobody else's came between,
/// and any other number asks for a new report.
///
/// Tried with LVM 2.03.16: `lvcreate` and `lvremove` of a linear volume, `lvextend`, `vgextend`, `lvchange --addtag` and
/// `vgchange --addtag` add 1 each (the latter also when the tag was there already), `lvcreate` and `lvremove` of a thin
/// volume or snapshot 2; activation, a refused command and a command that fails add nothing.
package struct MetadataSequence: Sendable, Equatable {
    package let group: String
    package let groupID: String
    package let number: UInt64

    package init(group: String, groupID: String, number: UInt64) {
        self.group = group
        self.groupID = groupID
        self.number = number
    }

    /// `notFound` where the device has no LVM label, or is in no group.
    package static func read(device: String) throws(LVMError) -> MetadataSequence {
        guard let label = try PhysicalVolumeLabel.read(device: device) else {
            throw LVMError(.notFound, "\(device) has no LVM label")
        }
        guard let sequence = label.sequence else {
            throw LVMError(.notFound, "\(device) is a physical volume without a volume group")
        }
        return sequence
    }

    /// From the head of the metadata text: `NAME {`, then the group's own fields before any section within it.
    init(text: String, device: String) throws(LVMError) {
        let lines = text.split(separator: "\n", maxSplits: 16)
        var fields: [Substring: Substring] = [:]
        for line in lines.dropFirst().prefix(while: { !$0.hasSuffix("{") }) {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 {
                fields[trimmed(parts[0])] = trimmed(parts[1])
            }
        }
        guard let first = lines.first, first.hasSuffix(" {"), let id = fields["id"],
            let number = fields["seqno"].flatMap({ UInt64($0) })
        else {
            throw LVMError(.malformed, "\(device): the LVM metadata has no group name, id or sequence number")
        }
        self.init(
            group: String(first.dropLast(2)), groupID: String(id.filter { $0 != "\"" }), number: number)
    }
}

private func trimmed(_ text: Substring) -> Substring {
    let blanks: Set<Character> = [" ", "\t"]
    var text = text.drop { blanks.contains($0) }
    while let last = text.last, blanks.contains(last) {
        text.removeLast()
    }
    return text
}
