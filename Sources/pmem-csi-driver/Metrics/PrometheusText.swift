/// Writes the Prometheus text format 0.0.4; made for one scrape by `PrometheusMetrics`.
/// Samples of one metric must be added one after the other.
struct PrometheusText {
    private(set) var output = ""
    private var lastName = ""

    mutating func add(name: String, help: String, series: [String: PrometheusMetrics.Series]) {
        for (labels, series) in series.sorted(by: { $0.key < $1.key }) {
            header(name: name, help: help, type: series.type)
            switch series {
            case .counter(let number), .gauge(let number): sample(name, labels, number.current)
            case .histogram(let histogram): add(histogram, name: name, labels: labels)
            }
        }
    }

    mutating func addGauge(name: String, help: String, labels: String, value: Double) {
        header(name: name, help: help, type: "gauge")
        sample(name, labels, value)
    }

    private mutating func add(_ histogram: HistogramSeries, name: String, labels: String) {
        let observations = histogram.observations
        var cumulative: UInt64 = 0
        for (bound, count) in zip(histogram.bounds, observations.counts) {
            cumulative += count
            sample("\(name)_bucket", Self.join(labels, "le=\"\(Self.number(bound))\""), Double(cumulative))
        }
        let total = Double(observations.total)
        sample("\(name)_bucket", Self.join(labels, "le=\"+Inf\""), total)
        sample("\(name)_sum", labels, observations.sum)
        sample("\(name)_count", labels, total)
    }

    private mutating func header(name: String, help: String, type: String) {
        guard name != lastName else { return }
        lastName = name
        output += "# HELP \(name) \(Self.escape(help, quotes: false))\n# TYPE \(name) \(type)\n"
    }

    private mutating func sample(_ name: String, _ labels: String, _ value: Double) {
        output += labels.isEmpty ? name : "\(name){\(labels)}"
        output += " \(Self.number(value))\n"
    }

    /// Labels between the braces, sorted, so that the same set is always the same text.
    static func labels(_ labels: [(String, String)]) -> String {
        labels.sorted { $0.0 < $1.0 }
            .map { "\(labelName($0.0))=\"\(escape($0.1, quotes: true))\"" }
            .joined(separator: ",")
    }

    static func metricName(_ name: String) -> String {
        identifier(name) { $0 == "_" || $0 == ":" }
    }

    private static func labelName(_ name: String) -> String {
        identifier(name) { $0 == "_" }
    }

    private static func identifier(_ name: String, also allowed: (Character) -> Bool) -> String {
        let text = String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) || allowed($0) ? $0 : "_" })
        return text.first?.isNumber == false ? text : "_" + text
    }

    private static func join(_ labels: String, _ more: String) -> String {
        labels.isEmpty ? more : "\(labels),\(more)"
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        text.unicodeScalars.reduce(into: "") { escaped, scalar in
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        // Whole numbers without an exponent, as long as a Double holds them exactly.
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return "\(whole)" }
        return "\(value)"
    }
}
