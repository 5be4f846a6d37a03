/// What a node must know to reach a volume on a storage target, as CSI's contexts say it, checked.
///
/// It is what the node's record keeps, so that detaching needs nothing else.
package struct RemoteVolume: Sendable, Equatable, Codable {
    package enum Transport: String, Sendable, Codable, CaseIterable {
        case tcp, rdma, iscsi

        var port: UInt16 { self == .iscsi ? 3260 : 4420 }
    }

    /// The CSI volume id: `<storage node>:<lvol uuid>`, a bare lvol uuid, or what somebody wrote by hand.
    package let id: String
    package let transport: Transport
    /// The NQN of the subsystem, or the IQN of the target.
    package let name: String
    /// Of the namespace; nil when nobody knows it, and the subsystem's only namespace is meant. Nil with iSCSI.
    package let uuid: String?
    /// Nil: the only disk of the target, or LUN 0. iSCSI only.
    package let lun: UInt16?
    /// In the order of preference; never empty.
    package let addresses: [TargetAddress]
    package let timeouts: PathTimeouts
    /// ControllerPublishVolume said so.
    package let isReadOnly: Bool
}

/// How long the kernel tries to bring a lost connection back.
package struct PathTimeouts: Sendable, Equatable, Codable {
    /// Seconds between two attempts.
    package var reconnectDelay = 2
    /// Seconds until it gives up and the users of the volume get errors; -1 for never.
    package var controllerLoss = 600

    package init() {}

    /// Changes what a map (of StorageClass parameters, or a volume context) says about them.
    package mutating func apply(_ values: [String: String]) throws(DeviceError) {
        reconnectDelay = try Self.seconds(values, "reconnectDelay", 1...3600) ?? reconnectDelay
        controllerLoss = try Self.seconds(values, "ctrlLossTimeout", -1...86400) ?? controllerLoss
    }

    private static func seconds(
        _ values: [String: String], _ key: String, _ range: ClosedRange<Int>
    ) throws(DeviceError) -> Int? {
        guard let text = values[key] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw DeviceError(
                .invalidArgument,
                "\(key) is \"\(text)\"; it can be \(range.lowerBound) to \(range.upperBound) seconds")
        }
        return number
    }
}

extension RemoteVolume {
    /// What the publish context says goes first, then the volume context; `timeouts` are the driver's own.
    ///
    /// Throws `failedPrecondition` when the volume must be attached first, or its address is nowhere.
    package init(
        id: String, volumeContext: [String: String], publishContext: [String: String], timeouts: PathTimeouts
    ) throws(DeviceError) {
        let context = volumeContext.merging(publishContext) { $1 }
        try Self.checkAccess(context, publishContext, id)
        let uuid = [id, context["uuid"], context["model"]].compactMap(\.self).lazy.compactMap(Self.uuid(of:)).first
        let transport = try Self.transport(context, id)
        self.id = id
        self.transport = transport
        let nameKey = transport == .iscsi ? "iqn" : "nqn"
        name = try Self.name(context[nameKey], nameKey, transport, uuid, id)
        self.uuid = transport == .iscsi ? nil : uuid ?? Self.uuid(of: name)
        lun = try Self.lun(context)
        addresses = try Self.addresses(context, transport, id)
        var timeouts = timeouts
        try timeouts.apply(context)
        self.timeouts = timeouts
        isReadOnly = ["readonly", "readOnly"].contains { publishContext[$0] == "true" }
    }

    /// A volume of which only the id is known: what is connected tells the rest. Nil for an id without an lvol's uuid.
    init?(id: String, transport: Transport) {
        guard let uuid = Self.uuid(of: id) else { return nil }
        self.id = id
        self.transport = transport
        self.uuid = transport == .iscsi ? nil : uuid
        name = Self.defaultName(transport, uuid)
        lun = nil
        addresses = []
        timeouts = PathTimeouts()
        isReadOnly = false
    }

    /// Whether the contexts name an address, or somebody must look it up.
    package static func hasAddress(_ context: [String: String]) -> Bool {
        context["targetType"]?.isEmpty == false && context["targetAddr"]?.isEmpty == false
    }

    /// The lvol's uuid at the end of a volume id, an NQN or an IQN, in lower case; nil when there is none.
    package static func uuid(of text: String) -> String? {
        let last = text.split(separator: ":", omittingEmptySubsequences: false).last?.lowercased() ?? ""
        guard last.wholeMatch(of: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/) != nil else { return nil }
        return last
    }

    private static func defaultName(_ transport: Transport, _ uuid: String) -> String {
        transport == .iscsi ? "iqn.2016-06.io.spdk:\(uuid)" : "nqn.2020-04.io.spdk.csi:uuid:\(uuid)"
    }
}

// One key each.
extension RemoteVolume {
    private static func checkAccess(
        _ context: [String: String], _ publishContext: [String: String], _ id: String
    ) throws(DeviceError) {
        switch context["access"] {
        case nil, "any": return
        case "host":
            guard publishContext.isEmpty else { return }
            throw DeviceError(
                .failedPrecondition,
                "volume \(id) has access \"host\", so ControllerPublishVolume must let this node in first, and no "
                    + "publish_context came; the CSIDriver object needs attachRequired: true, and an external-attacher")
        case let other?:
            throw DeviceError(.invalidArgument, "volume_context: access is \"\(other)\"; it can be host or any")
        }
    }

    private static func transport(_ context: [String: String], _ id: String) throws(DeviceError) -> Transport {
        guard let text = context["targetType"], !text.isEmpty else { throw noAddress("targetType", id) }
        let word = text.lowercased()
        let short = word.hasPrefix("nvme-") ? String(word.dropFirst(5)) : word
        guard let transport = Transport(rawValue: short) else {
            throw DeviceError(
                .invalidArgument, "volume_context: targetType is \"\(text)\"; it can be TCP, RDMA or iscsi")
        }
        return transport
    }

    private static func name(
        _ text: String?, _ key: String, _ transport: Transport, _ uuid: String?, _ id: String
    ) throws(DeviceError) -> String {
        guard let text, !text.isEmpty else {
            guard let uuid else { throw noAddress(key, id) }
            return defaultName(transport, uuid)
        }
        let prefixes = transport == .iscsi ? ["iqn.", "eui.", "naa."] : ["nqn."]
        // No comma and no space, which would end the kernel's option.
        let isClean = text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: ",") }
        guard text.utf8.count <= 223, isClean, prefixes.contains(where: text.hasPrefix) else {
            throw DeviceError(
                .invalidArgument,
                "volume_context: \(key) \"\(text)\" must begin with \(prefixes.joined(separator: " or ")) and have at "
                    + "most 223 bytes, no spaces and no commas")
        }
        return text
    }

    private static func addresses(
        _ context: [String: String], _ transport: Transport, _ id: String
    ) throws(DeviceError) -> [TargetAddress] {
        var port = transport.port
        if let text = context["targetPort"], !text.isEmpty {
            guard let number = TargetAddress.port(text) else {
                throw DeviceError(.invalidArgument, "volume_context: targetPort \"\(text)\" is no port")
            }
            port = number
        }
        let addresses = try TargetAddress.list(context["targetAddr"] ?? "", port: port, "volume_context: targetAddr")
        guard !addresses.isEmpty else { throw noAddress("targetAddr", id) }
        return addresses
    }

    private static func lun(_ context: [String: String]) throws(DeviceError) -> UInt16? {
        guard let text = context["lun"] else { return nil }
        guard let lun = UInt16(text) else {
            throw DeviceError(.invalidArgument, "volume_context: lun \"\(text)\" is no number")
        }
        return lun
    }

    private static func noAddress(_ key: String, _ id: String) -> DeviceError {
        DeviceError(
            .failedPrecondition,
            "volume \(id): neither volume_context nor publish_context has \(key); give volumeAttributes targetType, "
                + "targetAddr and nqn (or iqn), or let the controller look them up with attachRequired: true")
    }
}
