/// Who uses a volume's device, as the kernel says.
enum DeviceUse: Sendable {
    case unused
    /// By some process, which may be udev or blkid for a moment.
    case open
    case mounted
}

/// Looks until nobody uses the volume's device. udev and blkid open devices for a moment, so an open counts only when it
/// lasts for two seconds.
///
/// Throws `inUse`.
func waitUntilUnused(
    _ id: some CustomStringConvertible, isolation: isolated (any Actor)? = #isolation,
    _ look: () async throws(DeviceError) -> DeviceUse
) async throws(DeviceError) {
    for attempt in 0...20 {
        switch try await look() {
        case .unused: return
        case .mounted:
            throw DeviceError(.inUse, "volume \(id) is mounted; unmount it first, its data is untouched")
        case .open: if attempt < 20 { await pause(.milliseconds(100)) }
        }
    }
    throw DeviceError(.inUse, "volume \(id) is open in some process; close it first, its data is untouched")
}
