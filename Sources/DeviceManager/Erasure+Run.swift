import CoreMetrics
import Host

extension Erasure {
    /// Overwrites what is left of a volume's device, on a thread for long work.
    ///
    /// Throws `aborted` when it was told to stop.
    func run(on device: BlockDevice, of id: VolumeID, counting counter: Counter) async throws(DeviceError) {
        let finished = try await blockingDevice(on: .long) {
            var done = start
            return try device.erase(from: start) { bytes in
                counter.increment(by: Int64(bytes - done))
                done = bytes
                return progress(bytes)
            }
        }
        guard finished else {
            throw DeviceError(
                .aborted, "volume \(id): the driver is stopping; its erasure goes on after the next start")
        }
    }
}
