import Host

/// What the kernel says in /sys about NVMe-oF connections, as it is now. Its methods block.
struct NVMeTree: Sendable {
    /// One connection to a subsystem.
    struct Controller: Sendable, Hashable {
        /// Such as `nvme0`.
        let name: String
        let hostNQN: String
        /// As the kernel was given it, the host a number.
        let address: TargetAddress?
        /// `live`, `connecting`, `deleting` and so on.
        let state: String

        var isLive: Bool { state == "live" }
        /// It will not come back, and goes away by itself.
        var isEnding: Bool { state.hasPrefix("deleting") || state == "dead" }
    }

    /// A block device: with multipath that of all paths together.
    struct Namespace: Sendable, Hashable {
        /// Such as `nvme0n1`.
        let name: String
        /// Empty where the target tells none.
        let uuid: String
        let number: DeviceNumber?
    }

    var root = "/sys"

    /// Whether several connections to one subsystem show one block device.
    func hasMultipath() throws(HostError) -> Bool {
        try KernelFile.read("\(root)/module/nvme_core/parameters/multipath") == "Y"
    }

    /// The connections to a subsystem, of every host NQN that this machine uses.
    func controllers(of nqn: String) throws(HostError) -> [Controller] {
        var controllers: [Controller] = []
        let directory = "\(root)/class/nvme"
        for name in try KernelFile.names(directory).sorted() where name.wholeMatch(of: /nvme[0-9]+/) != nil {
            let path = "\(directory)/\(name)"
            // One that goes away meanwhile is none.
            guard try KernelFile.read("\(path)/subsysnqn") == nqn, let state = try KernelFile.read("\(path)/state")
            else { continue }
            let address = try KernelFile.read("\(path)/address").flatMap(Self.address)
            let host = try KernelFile.read("\(path)/hostnqn") ?? ""
            controllers.append(Controller(name: name, hostNQN: host, address: address, state: state))
        }
        return controllers
    }

    /// The block devices of a subsystem: below it with multipath, below its controllers without. Hidden ones, of single
    /// paths, have names like `nvme0c0n1`.
    func namespaces(of nqn: String) throws(HostError) -> [Namespace] {
        var found: [Namespace] = []
        let subsystems = "\(root)/class/nvme-subsystem"
        for name in try KernelFile.names(subsystems).sorted() {
            guard try KernelFile.read("\(subsystems)/\(name)/subsysnqn") == nqn else { continue }
            found += try namespaces(below: "\(subsystems)/\(name)")
        }
        for controller in try controllers(of: nqn) {
            found += try namespaces(below: "\(root)/class/nvme/\(controller.name)")
        }
        return found
    }

    private func namespaces(below path: String) throws(HostError) -> [Namespace] {
        var found: [Namespace] = []
        for name in try KernelFile.names(path).sorted() where name.wholeMatch(of: /nvme[0-9]+n[0-9]+/) != nil {
            // Without a number it is not there yet, or not any more.
            guard let number = try KernelFile.read("\(path)/\(name)/dev") else { continue }
            let uuid = try KernelFile.read("\(path)/\(name)/uuid") ?? ""
            found.append(Namespace(name: name, uuid: uuid.lowercased(), number: DeviceNumber(parsing: number)))
        }
        return found
    }

    /// `traddr=10.0.0.1,trsvcid=4420,src_addr=10.0.0.2`
    static func address(_ text: String) -> TargetAddress? {
        var values: [Substring: Substring] = [:]
        for word in text.split(separator: ",") {
            let parts = word.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[parts[0]] = parts[1] }
        }
        guard let host = values["traddr"], let port = values["trsvcid"].flatMap({ TargetAddress.port($0) }) else {
            return nil
        }
        return TargetAddress(host: TargetAddress.canonical(String(host)) ?? String(host), port: port)
    }
}
