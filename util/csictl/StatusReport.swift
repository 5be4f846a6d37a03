import Program

/// What `csictl status` found, and its two spellings. Made by `Status`; it only keeps and shows.
struct StatusReport: Equatable {
    /// A table: its columns, and for each row the cells in their order. Numbers are bytes or counts.
    struct Section: Equatable {
        enum Cell: Equatable {
            case text(String), bytes(UInt64), count(Int), list([String])
        }

        let name: String
        let columns: [String]
        var rows: [[Cell]] = []
    }

    var sections: [Section] = []
    /// What somebody should look at, each with the thing's name first.
    var attention: [String] = []
    /// What is not shown here and need not be, each with the thing's name first.
    var notes: [String] = []

    /// For people: sections that have nothing are left out.
    var text: String {
        var parts = sections.filter { !$0.rows.isEmpty }.map { section in
            let table = TextTable(
                section.columns.map { $0.uppercased() }, rightAligned: Set(section.numeric.map { $0.uppercased() }),
                rows: section.rows.map { $0.map(\.text) })
            return "\(section.name)\n\(table)"
        }
        if !notes.isEmpty { parts.append("notes\n" + Self.list(notes)) }
        parts.append(
            attention.isEmpty
                ? "nothing needs attention" : "needs attention\n" + Self.list(attention))
        return parts.joined(separator: "\n\n")
    }

    private static func list(_ texts: [String]) -> String { texts.map { "- \($0)" }.joined(separator: "\n") }

    /// For programs: an array of objects for each section, and the arrays `notes` and `attention`.
    var json: JSONValue {
        .object(
            sections.map { section in
                JSONValue.Member(
                    key: section.name,
                    value: .array(
                        section.rows.map { row in
                            .object(
                                zip(section.columns, row).map { JSONValue.Member(key: $0, value: $1.json) })
                        }))
            }
                + [("notes", notes), ("attention", attention)].map {
                    JSONValue.Member(key: $0, value: .array($1.map(JSONValue.string)))
                })
    }
}

extension StatusReport.Section {
    /// Columns of numbers.
    fileprivate var numeric: [String] {
        guard let first = rows.first else { return [] }
        return zip(columns, first).compactMap { column, cell in
            switch cell {
            case .bytes, .count: column
            case .text, .list: nil
            }
        }
    }
}

extension StatusReport.Section.Cell {
    fileprivate var text: String {
        switch self {
        case .text(let text): text
        case .bytes(let bytes): ByteCount(bytes).description
        case .count(let count): String(count)
        case .list(let texts): texts.joined(separator: " ")
        }
    }

    fileprivate var json: JSONValue {
        switch self {
        case .text(let text): .string(text)
        case .bytes(let bytes): .raw(String(bytes))
        case .count(let count): .raw(String(count))
        case .list(let texts): .array(texts.map(JSONValue.string))
        }
    }
}
