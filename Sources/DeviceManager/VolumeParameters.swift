/// How the namespace below a volume is used: with DAX and byte addressing, or with sector atomicity (BTT).
package enum NamespaceMode: String, Sendable, CaseIterable, Codable {
    case fsdax
    case sector
}

/// Whether a volume's space is set aside when it is made, or taken as it is written.
package enum Provisioning: String, Sendable, CaseIterable, Codable {
    case thick
    case thin
}

/// When a volume gets its device: when it is made, or when it is first given to its node.
package enum Allocation: String, Sendable, CaseIterable, Codable {
    case create
    case publish
}

/// The StorageClass parameters that a volume is made with, checked and with defaults applied.
///
/// Unknown keys are refused by name, except those that Kubernetes adds itself
/// (`csi.storage.k8s.io/*`, `storage.kubernetes.io/*`).
package struct VolumeParameters: Sendable, Equatable {
    /// Nil where there are no namespaces below the volumes, so that the parameter makes no sense.
    package var mode: NamespaceMode? = .fsdax
    package var provisioning = Provisioning.thick
    package var allocation = Allocation.create
    /// Whether DeleteVolume overwrites the volume with zeroes before its space is used again.
    package var eraseAfter = true
    /// Nil where volumes are not namespaces themselves.
    package var namespace: NamespaceParameters?
    /// Nil where volumes are not on storage nodes; where they are, nothing else here means anything.
    package var lvol: LvolParameters?

    package init() {}

    /// The second map wins over the first (CSI, CreateVolumeRequest.mutable_parameters).
    package init(
        _ parameters: [String: String], mutable: [String: String] = [:],
        defaults: VolumeParameters = VolumeParameters()
    ) throws(DeviceError) {
        self = defaults
        try apply(parameters)
        try apply(mutable)
    }

    /// Changes what the map says and leaves the rest as it is.
    package mutating func apply(_ parameters: [String: String]) throws(DeviceError) {
        if var lvol {
            try lvol.apply(parameters)
            self.lvol = lvol
            return
        }
        if let value = parameters["eraseafter"], let other = parameters["eraseAfter"], value != other {
            throw DeviceError(
                .invalidArgument, "parameters: eraseafter is \"\(value)\", eraseAfter is \"\(other)\"; give one of them"
            )
        }
        for (key, value) in parameters {
            switch key {
            case "nsmode" where mode != nil: mode = try Self.mode(value)
            case "provisioning": provisioning = try Self.provisioning(value)
            case "allocation": allocation = try Self.allocation(value)
            case "eraseafter", "eraseAfter": eraseAfter = try Self.boolean(value, key: key)
            case let key where NamespaceParameters.keys.contains(key): try setNamespace(key, value)
            case let key where Self.isKubernetes(key): continue
            default: throw unknown(key)
            }
        }
        guard provisioning == .thick || parameters["nsmode"] != NamespaceMode.fsdax.rawValue else {
            throw DeviceError(
                .invalidArgument,
                "parameters: nsmode fsdax and provisioning thin exclude each other, since thin volumes have no DAX")
        }
        guard allocation == .create || provisioning == .thick else {
            throw DeviceError(
                .invalidArgument,
                "parameters: allocation publish and provisioning thin exclude each other, since thin volumes take nothing "
                    + "until they are written")
        }
        try checkNamespace(parameters)
    }

    private mutating func setNamespace(_ key: String, _ value: String) throws(DeviceError) {
        guard var namespace else { throw unknown(key) }
        try namespace.set(key, value)
        self.namespace = namespace
    }

    private func checkNamespace(_ parameters: [String: String]) throws(DeviceError) {
        guard namespace != nil else { return }
        guard provisioning == .thick else {
            throw DeviceError(
                .invalidArgument, "parameters: provisioning is \"thin\"; a namespace has all of its memory at once")
        }
        guard allocation == .create else {
            throw DeviceError(
                .invalidArgument,
                "parameters: allocation is \"publish\"; a piece of a region cannot be set aside without a namespace")
        }
        guard mode == .fsdax || parameters["pageMap"] == nil else {
            throw DeviceError(.invalidArgument, "parameters: pageMap is for nsmode fsdax; sector has no page map")
        }
    }

    /// Whether file systems on the volume are to be mounted with DAX.
    package var hasDAX: Bool { mode == .fsdax && provisioning == .thick }

    /// What the volume context says of the parameters.
    package var context: [String: String] {
        if let lvol { return lvol.values }
        var context = ["eraseafter": eraseAfter ? "true" : "false"]
        if provisioning == .thin { context["provisioning"] = provisioning.rawValue }
        if allocation == .publish { context["allocation"] = allocation.rawValue }
        context["nsmode"] = mode?.rawValue
        return context.merging(namespace?.context ?? [:]) { $1 }
    }

    private func unknown(_ key: String) -> DeviceError {
        let known =
            ["allocation", "eraseafter", "provisioning"] + (mode == nil ? [] : ["nsmode"])
            + (namespace == nil ? [] : NamespaceParameters.keys)
        let reason =
            switch key {
            case "nsmode": "there are no namespaces below these volumes"
            case _ where NamespaceParameters.keys.contains(key): "only -deviceManager=direct has this key"
            default: "unknown key"
            }
        return DeviceError(
            .invalidArgument,
            "parameters: \(reason): \"\(key)\"; the known ones are \(known.sorted().joined(separator: ", "))")
    }

    /// Keys that Kubernetes adds itself.
    package static func isKubernetes(_ key: String) -> Bool {
        key.hasPrefix("csi.storage.k8s.io/") || key.hasPrefix("storage.kubernetes.io/")
    }

    private static func mode(_ value: String) throws(DeviceError) -> NamespaceMode {
        guard value != "devdax" else {
            throw DeviceError(
                .invalidArgument,
                "parameters: nsmode is \"devdax\", whose character device can be neither mounted nor given out as a "
                    + "block volume; it can be fsdax or sector")
        }
        guard let mode = NamespaceMode(rawValue: value) else {
            throw DeviceError(.invalidArgument, "parameters: nsmode is \"\(value)\"; it can be fsdax or sector")
        }
        return mode
    }

    private static func provisioning(_ value: String) throws(DeviceError) -> Provisioning {
        guard let provisioning = Provisioning(rawValue: value) else {
            throw DeviceError(.invalidArgument, "parameters: provisioning is \"\(value)\"; it can be thick or thin")
        }
        return provisioning
    }

    private static func allocation(_ value: String) throws(DeviceError) -> Allocation {
        guard let allocation = Allocation(rawValue: value) else {
            throw DeviceError(
                .invalidArgument, "parameters: allocation is \"\(value)\"; it can be create or publish")
        }
        return allocation
    }

    /// Go's spellings, as StorageClasses written for pmem-csi use them.
    private static func boolean(_ value: String, key: String) throws(DeviceError) -> Bool {
        switch value {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default:
            throw DeviceError(.invalidArgument, "parameters: \(key) is \"\(value)\"; it can be true or false")
        }
    }
}

// What the driver's device managers have in common, and what only one of them has.
extension VolumeParameters {
    /// For questions about room: nil for what another of the driver's device managers makes and this one does not, so
    /// that a StorageClass for others is no error.
    package static func makeable(
        _ parameters: [String: String], defaults: VolumeParameters
    ) throws(DeviceError) -> VolumeParameters? {
        do throws(DeviceError) {
            return try VolumeParameters(parameters, defaults: defaults)
        } catch {
            let isMadeElsewhere = ManagerKind.allCases.contains { kind in
                (try? VolumeParameters(parameters, defaults: kind.defaultParameters)) != nil
            }
            guard isMadeElsewhere else { throw error }
            return nil
        }
    }
}

extension ManagerKind {
    /// What a volume has where its StorageClass says nothing.
    package var defaultParameters: VolumeParameters {
        var parameters = VolumeParameters()
        switch self {
        case .lvm: break
        case .direct: parameters.namespace = NamespaceParameters()
        case .file: parameters.mode = nil
        }
        return parameters
    }
}

/// Records written before a parameter was known have its default.
extension VolumeParameters: Codable {
    private enum CodingKeys: CodingKey {
        case mode, provisioning, allocation, eraseAfter, namespace
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        mode = try values.decodeIfPresent(NamespaceMode.self, forKey: .mode)
        provisioning = try values.decodeIfPresent(Provisioning.self, forKey: .provisioning) ?? .thick
        allocation = try values.decodeIfPresent(Allocation.self, forKey: .allocation) ?? .create
        eraseAfter = try values.decodeIfPresent(Bool.self, forKey: .eraseAfter) ?? true
        namespace = try values.decodeIfPresent(NamespaceParameters.self, forKey: .namespace)
    }
}
