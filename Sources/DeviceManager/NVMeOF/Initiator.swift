package import Host

/// A node's side of a storage protocol: brings the block device of a volume here, and takes it away.
///
/// Every call may come twice and may have been cut off anywhere before. Nothing is remembered: the kernel is asked.
/// Callers hold the volume, and the subsystem or target that it belongs to.
package protocol Initiator: Sendable {
    /// Connects every address that is not connected, and waits until the device is there.
    ///
    /// Answers why addresses are not connected, if at least one is. Throws `unavailable` where none is,
    /// `failedPrecondition` for what this node lacks, `notFound` where the target has no such volume.
    func connect(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String]

    /// The path of the block device as it is now; nil when there is none. Blocks.
    func device(_ volume: RemoteVolume) throws(DeviceError) -> String?

    /// Whether anything of ours is connected there. Blocks.
    func isConnected(_ volume: RemoteVolume, as host: HostIdentity?) throws(DeviceError) -> Bool

    /// Connects the addresses of a connected volume that are not connected any more; nothing without one that is. It
    /// answers why some are not.
    func restore(_ volume: RemoteVolume, as host: HostIdentity) async throws(DeviceError) -> [String]

    /// Paths of other block devices that would go away with the volume's connection. Blocks.
    func siblings(_ volume: RemoteVolume) throws(DeviceError) -> [String]

    /// Ends every connection of ours (nil: of anybody on this machine) and waits until it and the device are gone.
    func disconnect(_ volume: RemoteVolume, as host: HostIdentity?) async throws(DeviceError)

    /// Asks the target for the size of the device anew.
    func rescan(_ volume: RemoteVolume) async throws(DeviceError)
}

extension BlockingLane {
    /// Asks until it holds; false when the time is over. `ask` blocks.
    package func wait(atMost limit: Duration, until ask: @escaping @Sendable () throws -> Bool)
        async throws(DeviceError)
        -> Bool
    {
        let end = ContinuousClock.now + limit
        while try await !blockingDevice(on: self, ask) {
            guard ContinuousClock.now < end else { return false }
            await pause(.milliseconds(50))
        }
        return true
    }
}
