import ArgumentParser
import CSIServer
import DeviceManager

/// The flags about volumes that are files.
struct FileOptions: ParsableArguments {
    static let flags = ["capacity"]

    @Option(
        name: .customLong("capacity"),
        help: "Bytes that all volumes may have together, such as 10Gi (default: the file system of -statePath).")
    var capacity = ""

    /// Bytes; nil for all that there is.
    func limit(_ manager: ManagerKind) throws -> UInt64? {
        guard !capacity.isEmpty else { return nil }
        guard manager == .file else {
            throw ValidationError(
                "flag -capacity: only -deviceManager=file has it; other volumes take what groups have")
        }
        guard let bytes = Quantity.bytes(capacity), bytes > 0 else {
            throw ValidationError("flag -capacity: \"\(capacity)\" is no number of bytes, such as 10Gi")
        }
        return bytes
    }
}
