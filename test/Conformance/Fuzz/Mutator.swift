/// Changes one to three things of a valid request; the same generator gives the same changes.
struct Mutator {
    var random: SplitMix64
    /// What ids and paths can be swapped for.
    var values = Values()

    init(seed: UInt64) {
        random = SplitMix64(seed: seed)
    }

    /// One request in eight stays as it is: the others' effects must not break what is valid.
    mutating func mutate(_ wire: Wire, as fields: [Field]) -> [UInt8] {
        var wire = wire
        if !random.oneIn(8) {
            for _ in 0...random.index(below: 3) { change(&wire, fields) }
        }
        var bytes = wire.serialized
        if random.oneIn(64) { damage(&bytes) }
        return bytes
    }

    private mutating func change(_ wire: inout Wire, _ fields: [Field]) {
        guard !fields.isEmpty, !random.oneIn(32) else { return addUnknown(&wire) }
        let field = fields[random.index(below: fields.count)]
        let present = wire.entries.indices.filter { wire.entries[$0].number == field.number }
        guard let index = present.isEmpty ? nil : present[random.index(below: present.count)] else {
            return wire.entries.append(.init(number: field.number, value: value(of: field.kind)))
        }
        // Deeper more often than not: a nested message has more that can be wrong.
        if case .message(let nested) = field.kind, case .message(var inner) = wire.entries[index].value,
            !random.oneIn(4)
        {
            change(&inner, nested)
            wire.entries[index].value = .message(inner)
            return
        }
        switch random.index(below: 10) {
        case 0: wire.entries.remove(at: index)
        case 1: wire.entries.insert(wire.entries[index], at: index)
        case 2: wire.entries.removeAll { $0.number == field.number }
        case 3 where random.oneIn(4): wire.entries[index].value = .varint(random.next())
        default: wire.entries[index].value = value(of: field.kind)
        }
    }

    private mutating func value(of kind: Kind) -> Wire.Value {
        switch kind {
        case .number: .varint(values.number(&random))
        case .flag: .varint(random.oneIn(4) ? random.next() : random.next() & 1)
        case .choice: .varint(random.oneIn(4) ? random.next() : random.next() % 12)
        case .map: .message(mapEntry())
        case .message(let fields): .message(message(fields))
        default: .bytes(values.text(kind, &random))
        }
    }

    private mutating func message(_ fields: [Field]) -> Wire {
        var wire = Wire()
        for field in fields where !random.oneIn(3) {
            wire.entries.append(.init(number: field.number, value: value(of: field.kind)))
        }
        return wire
    }

    private mutating func mapEntry() -> Wire {
        var wire = Wire()
        let key = random.oneIn(2) ? values.key(&random) : values.text(.text, &random)
        if !random.oneIn(8) { wire.entries.append(.init(number: 1, value: .bytes(key))) }
        if !random.oneIn(8) { wire.entries.append(.init(number: 2, value: .bytes(values.text(.text, &random)))) }
        return wire
    }

    private mutating func addUnknown(_ wire: inout Wire) {
        let number = random.pick([15, 16, 99, 1060, 19_000, 536_870_911], or: 15)
        let value: Wire.Value =
            switch random.index(below: 5) {
            case 0: .varint(random.next())
            case 1: .fixed32(UInt32(truncatingIfNeeded: random.next()))
            case 2: .fixed64(random.next())
            case 3: .bytes(values.text(.text, &random))
            default: .message(Wire([.init(number: 1, value: .bytes(values.text(.text, &random)))]))
            }
        wire.entries.insert(.init(number: number, value: value), at: random.index(below: wire.entries.count + 1))
    }

    /// Bytes that may be no message any more.
    private mutating func damage(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return bytes.append(UInt8(truncatingIfNeeded: random.next())) }
        switch random.index(below: 3) {
        case 0: bytes[random.index(below: bytes.count)] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.removeLast(random.index(below: bytes.count))
        default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: random.index(below: bytes.count))
        }
    }
}
