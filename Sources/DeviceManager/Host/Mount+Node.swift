import Glibc

// Raw block volumes: the node of a device, bound to a file.
extension Mount {
    /// A bind mount of a single file of /dev; what it is, only looking at it tells. `processRoot` leads to the mount
    /// namespace of the table.
    package func isNode(of device: DeviceNumber, below processRoot: String = "") -> Bool {
        guard isOfDevices else { return false }
        let path = processRoot + mountPoint
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFBLK
            && DeviceNumber(rawValue: status.st_rdev) == device
    }

    /// The node of a block device that has nothing behind it any more, so that nobody can be using it.
    package var isDeadNode: Bool {
        guard isOfDevices else { return false }
        do throws(HostError) {
            return try BlockDevice(path: mountPoint).size() == 0
        } catch {
            return error.errno == ENXIO
        }
    }

    private var isOfDevices: Bool { root != "/" && (type == "devtmpfs" || type == "tmpfs") }
}

extension MountTable {
    /// Where the device's node is bound to a file.
    package func nodes(of device: DeviceNumber) -> [Mount] {
        mounts.filter { $0.isNode(of: device) }
    }
}
