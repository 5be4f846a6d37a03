import CoreMetrics
import Synchronization

/// One number of a counter or gauge; `PrometheusMetrics` keeps one per name and labels, callers hold the same object.
/// Counters never go down.
final class NumberSeries: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, Sendable {
    private let value = Mutex(0.0)

    var current: Double { value.withLock { $0 } }

    func increment(by amount: Int64) { increment(by: Double(amount)) }

    func increment(by amount: Double) {
        guard amount.isFinite else { return }
        value.withLock { $0 += amount }
    }

    func decrement(by amount: Double) { increment(by: -amount) }

    func set(_ newValue: Int64) { set(Double(newValue)) }

    func set(_ newValue: Double) { value.withLock { $0 = newValue } }

    func record(_ newValue: Int64) { set(Double(newValue)) }

    func record(_ newValue: Double) { set(newValue) }

    func reset() { set(0.0) }
}

/// One timer's or aggregating recorder's observations, counted in buckets; timers are in seconds.
/// `PrometheusMetrics` keeps one per name and labels.
final class HistogramSeries: TimerHandler, RecorderHandler, Sendable {
    struct Observations: Sendable {
        /// Per bucket, not yet cumulative; one more than there are bounds, for what is above the last.
        var counts: [UInt64]
        var sum = 0.0
        var total: UInt64 { counts.reduce(0, +) }
    }

    /// Upper bounds in seconds: a capacity query takes milliseconds, the erasure of a large volume minutes.
    static let storageBounds: [Double] = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
    ]

    let bounds: [Double]
    private let state: Mutex<Observations>

    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(Observations(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    var observations: Observations { state.withLock { $0 } }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock {
            $0.counts[bucket] += 1
            $0.sum += value
        }
    }
}
