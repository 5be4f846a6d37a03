import CoreMetrics
import Synchronization

/// The swift-metrics backend of the driver: main bootstraps one, every counter of the process lives in it, and
/// `MetricsServer` reads it. A label that was used for another kind of metric gives a working but unpublished one.
final class PrometheusMetrics: MetricsFactory, Sendable {
    /// Gauges whose values are asked for at each scrape, with one question.
    struct Callback: Sendable {
        let gauges: [(name: String, help: String)]
        let labels: String
        let isSimple: Bool
        let values: @Sendable () async -> [Double]?

        func samples() async -> [Sample] {
            let current = await values() ?? []
            return zip(gauges, current).map { Sample(name: $0.name, help: $0.help, labels: labels, value: $1) }
        }
    }

    /// What one gauge says at one scrape.
    struct Sample: Sendable {
        let name: String
        let help: String
        let labels: String
        let value: Double
    }

    enum Series: Sendable {
        case counter(NumberSeries)
        case gauge(NumberSeries)
        case histogram(HistogramSeries)

        var type: String {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    private struct State {
        /// By metric name, then by rendered labels.
        var families: [String: [String: Series]] = [:]
        var callbacks: [Callback] = []
    }

    private static let knownHelp = [
        "csi_plugin_operations_seconds": "Duration of CSI calls by method and gRPC status code.",
        "pmem_csi_operations_in_flight": "CSI calls that are being served.",
        "pmem_csi_node_operations_seconds": "Duration of the controller's calls to nodes.",
        "pmem_csi_controller_operations_seconds": "Duration of a node's calls to controllers.",
        "pmem_csi_erased_bytes_total": "Bytes overwritten before their space is used again.",
        "pmem_csi_lvm_runs_total": "Runs of the lvm program by command.",
    ]

    private let help: [String: String]
    private let state = Mutex(State())

    /// Takes HELP texts by metric name.
    init(help: [String: String] = [:]) {
        self.help = Self.knownHelp.merging(help) { _, ours in ours }
    }

    /// Publishes a gauge that is evaluated at each scrape; nil means no sample now. Simple ones are in
    /// `/metrics/simple` too: they must be cheap.
    func registerGauge(
        name: String, help: String, labels: [(String, String)] = [], simple: Bool = false,
        value: @escaping @Sendable () async -> Double?
    ) {
        registerGauges([(name, help)], labels: labels, simple: simple) { await value().map { [$0] } }
    }

    /// The same for several at once, whose values come in their order.
    func registerGauges(
        _ gauges: [(name: String, help: String)], labels: [(String, String)] = [], simple: Bool = false,
        values: @escaping @Sendable () async -> [Double]?
    ) {
        let callback = Callback(
            gauges: gauges.map { (PrometheusText.metricName($0.name), $0.help) },
            labels: PrometheusText.labels(labels), isSimple: simple, values: values)
        state.withLock { $0.callbacks.append(callback) }
    }

    /// Everything in the Prometheus text format 0.0.4, or only the simple gauges.
    func text(simple: Bool = false) async -> String {
        let (families, callbacks) = state.withLock { ($0.families, $0.callbacks) }
        var text = PrometheusText()
        if !simple {
            for (name, series) in families.sorted(by: { $0.key < $1.key }) {
                text.add(name: name, help: help[name] ?? name, series: series)
            }
        }
        var samples: [Sample] = []
        for callback in callbacks where callback.isSimple || !simple { samples += await callback.samples() }
        for sample in samples.sorted(by: { ($0.name, $0.labels) < ($1.name, $1.labels) }) {
            text.addGauge(name: sample.name, help: sample.help, labels: sample.labels, value: sample.value)
        }
        return text.output
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return gauge(label, dimensions) }
        // Without knowing the unit there are no sensible bounds: sum and count alone still give an average.
        return histogram(label, dimensions, bounds: [])
    }

    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions, bounds: HistogramSeries.storageBounds)
    }

    // Handlers are shared by name and labels and live as long as the process: counters must not start again.
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> NumberSeries {
        guard case .counter(let series) = series(label, dimensions, else: { .counter(NumberSeries()) }) else {
            return NumberSeries()
        }
        return series
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> NumberSeries {
        guard case .gauge(let series) = series(label, dimensions, else: { .gauge(NumberSeries()) }) else {
            return NumberSeries()
        }
        return series
    }

    private func histogram(
        _ label: String, _ dimensions: [(String, String)], bounds: [Double]
    ) -> HistogramSeries {
        let made = series(label, dimensions) { .histogram(HistogramSeries(bounds: bounds)) }
        guard case .histogram(let series) = made else { return HistogramSeries(bounds: bounds) }
        return series
    }

    /// The series of this name and labels, made at first use; one name has one type.
    private func series(_ label: String, _ dimensions: [(String, String)], else make: () -> Series) -> Series {
        let name = PrometheusText.metricName(label)
        let labels = PrometheusText.labels(dimensions)
        return state.withLock { state in
            if let existing = state.families[name]?[labels] { return existing }
            let made = make()
            if let sibling = state.families[name]?.values.first, sibling.type != made.type { return sibling }
            state.families[name, default: [:]][labels] = made
            return made
        }
    }
}
