import FoundationEssentials
import Glibc

/// Files below a directory, laid out as the kernel lays out /sys.
struct SysfsTree {
    let root: String

    func write(_ path: String, _ text: String) throws {
        let file = "\(root)/\(path)"
        let directory = String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)])
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data((text + "\n").utf8).write(to: URL(filePath: file))
    }

    func read(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: "\(root)/\(path)")), as: UTF8.self)
    }

    func multipath(_ isOn: Bool) throws {
        try write("module/nvme_core/parameters/multipath", isOn ? "Y" : "N")
    }

    func controller(
        _ name: String, nqn: String, host: String, address: String, port: Int = 4420, state: String = "live"
    ) throws {
        let path = "class/nvme/\(name)"
        try write("\(path)/subsysnqn", nqn)
        try write("\(path)/hostnqn", host)
        try write("\(path)/address", "traddr=\(address),trsvcid=\(port),src_addr=10.0.0.99")
        try write("\(path)/state", state)
        try write("\(path)/delete_controller", "")
    }

    /// Below a subsystem or a controller; without a number the kernel has not made the device yet.
    func namespace(_ name: String, below path: String, uuid: String, number: String?) throws {
        try write("\(path)/\(name)/uuid", uuid)
        if let number { try write("\(path)/\(name)/dev", number) }
    }

    func subsystem(_ name: String, nqn: String) throws -> String {
        try write("class/nvme-subsystem/\(name)/subsysnqn", nqn)
        return "class/nvme-subsystem/\(name)"
    }

    func session(_ name: String, target: String, state: String = "LOGGED_IN", disks: [(lun: Int, name: String)]) throws
    {
        let path = "class/iscsi_session/\(name)"
        try write("\(path)/targetname", target)
        try write("\(path)/state", state)
        for disk in disks {
            try write("\(path)/device/target1:0:0/1:0:0:\(disk.lun)/block/\(disk.name)/dev", "8:0")
        }
    }
}
