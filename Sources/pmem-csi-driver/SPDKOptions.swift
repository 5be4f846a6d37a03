import ArgumentParser
import DeviceManager

/// The flags of spdk-csi, which say with two words what -deviceManager and -mode say here.
struct SPDKOptions: ParsableArguments {
    static let booleans = ["controller", "node"]

    @Flag(
        name: .customLong("controller"),
        help: "As spdk-csi has it: -deviceManager=spdk -mode=controller; with -node, -mode=unified.")
    var controller = false
    @Flag(name: .customLong("node"), help: "As spdk-csi has it: -deviceManager=spdk -mode=node.")
    var node = false

    private var isGiven: Bool { controller || node }

    func choice(_ given: ManagerChoice?) throws -> ManagerChoice {
        guard isGiven else { return given ?? .local(.lvm) }
        guard given == nil || given == .spdk else {
            throw ValidationError("flags -controller and -node are for -deviceManager=spdk; use -mode with others")
        }
        return .spdk
    }

    func mode(_ given: Mode?) throws -> Mode {
        guard isGiven else { return given ?? .unified }
        let mode: Mode = controller && node ? .unified : controller ? .controller : .node
        guard given == nil || given == mode else {
            throw ValidationError(
                "flags -controller and -node say -mode=\(mode.rawValue), and -mode says something else; give one of them"
            )
        }
        return mode
    }

    /// spdk-csi reads unix://tmp/x as /tmp/x.
    func endpoint(_ text: String, _ isSPDK: Bool) -> String {
        guard isSPDK else { return text.isEmpty ? "unix:///tmp/pmem-csi.sock" : text }
        let text = text.isEmpty ? "unix:///tmp/spdkcsi.sock" : text
        let scheme = "unix://"
        guard text.lowercased().hasPrefix(scheme) else { return text }
        let rest = text.dropFirst(scheme.count)
        return rest.isEmpty || rest.hasPrefix("/") ? text : "\(scheme)/\(rest)"
    }
}
