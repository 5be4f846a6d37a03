/// A table of plain text with aligned columns and two blanks between them, for plans and reports on a terminal.
package struct TextTable: Sendable, CustomStringConvertible {
    package let columns: [String]
    package private(set) var rows: [[String]] = []
    /// Columns whose cells end at the same place, as numbers do.
    private let rightAligned: Set<String>

    package init(_ columns: [String], rightAligned: Set<String> = [], rows: [[String]] = []) {
        self.columns = columns
        self.rightAligned = rightAligned
        rows.forEach { append($0) }
    }

    /// Cells that are missing are blank, those beyond the columns are left out.
    package mutating func append(_ row: [String]) {
        let cells = row.prefix(columns.count).map { $0.split(whereSeparator: \.isNewline).joined(separator: " ") }
        rows.append(cells + Array(repeating: "", count: columns.count - cells.count))
    }

    /// Lines without trailing blanks and without a final newline.
    package var description: String {
        let lines = [columns] + rows
        let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            var text = ""
            for (column, cell) in line.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                text += (column > 0 ? "  " : "") + (isRightAligned(column) ? padding + cell : cell + padding)
            }
            while text.last == " " {
                text.removeLast()
            }
            return text
        }.joined(separator: "\n")
    }

    private func isRightAligned(_ column: Int) -> Bool {
        rightAligned.contains(columns[column])
    }
}
