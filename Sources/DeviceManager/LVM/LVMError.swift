/// What went wrong in one `lvm` run, or while reading a physical volume's metadata. Made by this target only; `code` is
/// what callers decide by, and `message` names the group, volume or device as lvm named it.
package struct LVMError: Error, Sendable, CustomStringConvertible {
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        package let description: String

        /// The group has too few free extents, or its metadata area is full.
        package static let notEnoughSpace = Code(description: "not enough space")
        package static let alreadyExists = Code(description: "already exists")
        package static let notFound = Code(description: "not found")
        /// Open, mounted, or below another device.
        package static let inUse = Code(description: "in use")
        /// lvm refused the command line: a name, tag or size it does not take.
        package static let invalidArgument = Code(description: "invalid argument")
        /// The device carries a file system, a partition table or the like, and nothing was written to it.
        package static let foreignSignature = Code(description: "foreign signature")
        package static let timedOut = Code(description: "timed out")
        /// lvm could not be started, or the kernel has no device-mapper.
        package static let unavailable = Code(description: "unavailable")
        /// A report, or the metadata on a device, is not what LVM writes.
        package static let malformed = Code(description: "malformed")
        package static let failed = Code(description: "failed")
    }

    package let code: Code
    package let message: String
    /// The command without our settings, as one would type it; empty when no command was run.
    package let command: String
    package let stderr: String
    package let exitStatus: Int32?
    package let cause: (any Error)?

    package init(
        _ code: Code, _ message: String, command: String = "", stderr: String = "", exitStatus: Int32? = nil,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.command = command
        self.stderr = stderr
        self.exitStatus = exitStatus
        self.cause = cause
    }

    package var description: String {
        let what = command.isEmpty ? message : "lvm \(command): \(message)"
        guard let cause else { return what }
        return "\(what): \(cause)"
    }
}

extension LVMError {
    /// lvm's exit status says only "bad command line" (3) or "failed" (5), so the reason is in its text, which
    /// LC_ALL=C keeps in English. The texts are those of 2.03.16; an unknown one is `failed`, never a guess.
    private static let texts: [(text: String, code: Code)] = [
        ("nsufficient free space", .notEnoughSpace),
        ("nsufficient suitable", .notEnoughSpace),
        ("Not enough free space", .notEnoughSpace),
        ("too large for mda_size", .notEnoughSpace),
        ("too large for circular buffer", .notEnoughSpace),
        ("already exists in volume group", .alreadyExists),
        ("already exists in Volume group", .alreadyExists),
        ("A volume group called", .alreadyExists),
        ("existing signature", .foreignSignature),
        ("Partition table signature found", .foreignSignature),
        ("device is partitioned", .foreignSignature),
        ("is already in volume group", .inUse),
        ("contains a filesystem in use", .inUse),
        ("is used by another device", .inUse),
        ("exclusively.  Mounted filesystem?", .inUse),
        (" in use.", .inUse),
        ("Failed to find logical volume", .notFound),
        ("Failed to find physical volume", .notFound),
        ("No device found for", .notFound),
        ("Failure to communicate with kernel device-mapper", .unavailable),
        ("Required device-mapper target(s) not detected", .unavailable),
    ]

    /// The error of a run that ended with a status other than 0.
    static func ended(command: String, status: Int32, stderr: String) -> LVMError {
        let lines = stderr.split(separator: "\n").map(trimmed).filter { !isNoise($0) }
        let known = texts.first { entry in lines.contains { $0.contains(entry.text) } }
        let reason = known.flatMap { entry in lines.first { $0.contains(entry.text) } } ?? lines.first
        let missingGroup = lines.contains { $0.hasPrefix("Volume group \"") && $0.hasSuffix(" not found") }
        let code = known?.code ?? (missingGroup ? .notFound : status == 3 ? .invalidArgument : .failed)
        return LVMError(
            code, reason ?? "exit status \(status) without a message", command: command, stderr: stderr,
            exitStatus: status)
    }

    private static func trimmed(_ line: Substring) -> String {
        String(line.drop { $0 == " " })
    }

    private static func isNoise(_ line: String) -> Bool {
        line.isEmpty
            || line.hasPrefix("WARNING: This metadata update is NOT backed up")
            || line.hasPrefix("WARNING: Activation disabled") || line.hasPrefix("WARNING: Sum of all thin volume sizes")
            || line.hasPrefix("Thin pool volume with chunk size")
            || (line.hasPrefix("WARNING: Logical volume ") && line.hasSuffix(" not zeroed."))
    }
}
