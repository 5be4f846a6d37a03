import CDevmapper
import Glibc
import Synchronization

/// What the kernel says of an active volume's device.
package struct DeviceStatus: Sendable, Equatable {
    /// How many have it open, a mount included.
    package let openCount: Int
    package let major: UInt32
    package let minor: UInt32
    package let isReadOnly: Bool
    /// Whoever reads or writes waits: lvm is changing its table, or was killed while it did.
    package let isSuspended: Bool
    package let size: UInt64
}

/// What went wrong between us and the kernel's device-mapper.
package struct DeviceMapperError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable {
        /// The kernel has no device-mapper, or we may not use it.
        case unavailable
        /// The volume is not active.
        case notFound
        case invalidName
        case failed
    }

    package let code: Code
    package let message: String
    package var description: String { message }
}

/// The kernel's view of logical volumes: one ioctl where `lvs` would parse a whole group. Blocking, for microseconds;
/// libdevmapper keeps state of its own without locks, so one mutex of the process guards every call.
package enum DeviceMapper {
    private static let library = Mutex(false)
    private static let directory = "/dev/mapper"

    /// The device of a logical volume, or nil where it is not active.
    package static func status(group: String, volume: String) throws(DeviceMapperError) -> DeviceStatus? {
        let name = try checkedName(group: group, volume: volume)
        let result = library.withLock { silenced -> Result<DeviceStatus?, DeviceMapperError> in
            if !silenced {
                pmem_dm_silence()
                silenced = true
            }
            do throws(DeviceMapperError) {
                return .success(try query(name))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Where the device's node is, whether or not it exists.
    package static func path(group: String, volume: String) -> String {
        "\(directory)/\(name(group: group, volume: volume))"
    }

    /// The path of an active volume's node, made where no udev did; a node or link that leads elsewhere, left from
    /// another life of this /dev, is replaced.
    package static func ensureNode(group: String, volume: String) throws(DeviceMapperError) -> String {
        guard let status = try status(group: group, volume: volume) else {
            throw DeviceMapperError(code: .notFound, message: "logical volume \(group)/\(volume) is not active")
        }
        let path = path(group: group, volume: volume)
        let device = pmem_dm_device(status.major, status.minor)
        // The second round is for a udev that makes the node at the same moment.
        for _ in 0..<2 where !leads(path, to: device) {
            mkdir(directory, 0o755)
            unlink(path)
            guard mknod(path, S_IFBLK | 0o600, device) == 0 || errno == EEXIST else {
                let reason = String(cString: strerror(errno))
                throw DeviceMapperError(code: .failed, message: "device node \(path) cannot be made: \(reason)")
            }
        }
        guard leads(path, to: device) else {
            throw DeviceMapperError(code: .failed, message: "device node \(path) is replaced by somebody else")
        }
        return path
    }

    /// LVM's name of the device: dashes within the parts are doubled, a single one separates them.
    static func name(group: String, volume: String) -> String {
        [group, volume].map { $0.split(separator: "-", omittingEmptySubsequences: false).joined(separator: "--") }
            .joined(separator: "-")
    }

    private static func checkedName(group: String, volume: String) throws(DeviceMapperError) -> String {
        let name = name(group: group, volume: volume)
        guard !group.isEmpty, !volume.isEmpty, !name.contains("/"), name.utf8.count < nameLimit else {
            throw DeviceMapperError(code: .invalidName, message: "\(group)/\(volume) cannot be a logical volume's name")
        }
        return name
    }

    /// The kernel's DM_NAME_LEN.
    private static let nameLimit = 128

    private static func leads(_ path: String, to device: dev_t) -> Bool {
        var facts = stat()
        return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFBLK && facts.st_rdev == device
    }

    /// STATUS rather than INFO, because it brings the table, and so the size, too; without a flush, which would make a
    /// thin volume wait for its pool.
    private static func query(_ name: String) throws(DeviceMapperError) -> DeviceStatus? {
        guard let task = dm_task_create(Int32(DM_DEVICE_STATUS)) else {
            throw unavailable()
        }
        defer { dm_task_destroy(task) }
        var info = dm_info()
        guard dm_task_set_name(task, name) == 1, dm_task_no_flush(task) == 1, dm_task_run(task) == 1,
            dm_task_get_info(task, &info) == 1
        else {
            let reason = dm_task_get_errno(task)
            throw reason == 0 ? unavailable() : failure(name, reason)
        }
        guard info.exists == 1 else { return nil }
        return DeviceStatus(
            openCount: Int(info.open_count), major: info.major, minor: info.minor, isReadOnly: info.read_only == 1,
            isSuspended: info.suspended == 1, size: sectors(task) * 512)
    }

    private static func sectors(_ task: OpaquePointer) -> UInt64 {
        var (start, length): (UInt64, UInt64) = (0, 0)
        var (type, parameters): (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?)
        var next: UnsafeMutableRawPointer?
        var end: UInt64 = 0
        repeat {
            next = dm_get_next_target(task, next, &start, &length, &type, &parameters)
            end = max(end, start &+ length)
        } while next != nil
        return end
    }

    private static func unavailable() -> DeviceMapperError {
        let control = "\(directory)/control"
        let descriptor = open(control, O_RDWR | O_CLOEXEC)
        let reason = String(cString: strerror(errno))
        if descriptor >= 0 {
            close(descriptor)
            return DeviceMapperError(code: .unavailable, message: "the kernel's device-mapper does not answer")
        }
        return DeviceMapperError(
            code: .unavailable,
            message: "\(control) cannot be opened (\(reason)): load the kernel module dm-mod (modprobe dm-mod)")
    }

    private static func failure(_ name: String, _ reason: Int32) -> DeviceMapperError {
        let text = String(cString: strerror(reason))
        let denied = reason == EPERM || reason == EACCES
        return DeviceMapperError(
            code: denied ? .unavailable : .failed, message: "device-mapper refused the status of \(name): \(text)")
    }
}
