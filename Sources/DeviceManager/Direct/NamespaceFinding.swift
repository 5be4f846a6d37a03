import Ndctl

// A namespace that has the name of a volume.
extension NamedNamespace {
    /// What the block device of an inactive one would offer is not known.
    func volume(_ id: VolumeID) -> Volume {
        Volume(
            id: id, size: namespace.size, location: RegionLocation(devname: region, interleaveSet: interleaveSet).text)
    }

    var path: String? { namespace.blockDevice.map { "/dev/\($0)" } }

    /// It is one that volumes have, or was made to be one.
    var isVolume: Bool { namespace.mode == .fsdax || namespace.mode == .sector }

    /// Why no record can be made of it now, and what to do about it; nil if one can.
    var omission: String? {
        let devname = namespace.devname
        // Neither its usable size nor its mode is known.
        guard namespace.isActive else {
            return "\(devname) is disabled; `ndctl enable-namespace \(devname)` enables it"
        }
        guard isVolume else {
            return "\(devname) is in mode \(namespace.mode.rawValue), without the page map or BTT that it was made "
                + "with; `ndctl destroy-namespace -f \(devname)` frees its memory"
        }
        return nil
    }
}

/// A namespace with the name of a volume that `rebuiltRecords` leaves out.
package struct OmittedNamespace: Sendable {
    package let id: VolumeID
    /// Names the device and the remedy.
    package let reason: String
}

extension DirectDeviceManager {
    package func omittedNamespaces() async throws(DeviceError) -> [OmittedNamespace] {
        try await inTurn { ndctl in
            try ndctl.snapshot().volumes.compactMap { id, named in
                named.omission.map { OmittedNamespace(id: id, reason: $0) }
            }
        }
    }
}

extension Ndctl {
    func namespaces(of id: VolumeID) throws(NdctlError) -> [NamedNamespace] { try namespaces(named: id.rawValue) }
}

extension [Region] {
    /// All namespaces that have the name of a volume, of whichever node.
    var volumes: [(id: VolumeID, named: NamedNamespace)] {
        flatMap { region in
            region.namespaces.compactMap { namespace in
                VolumeID(namespace.alternateName).map {
                    (
                        $0,
                        NamedNamespace(
                            region: region.devname, interleaveSet: region.interleaveSet, namespace: namespace)
                    )
                }
            }
        }
    }

    /// Throws `unavailable` when the region is not here now, so that nothing is known of its namespaces.
    @discardableResult
    func region(_ location: String, for id: VolumeID) throws(DeviceError) -> Region {
        let location = RegionLocation(location)
        guard let region = first(where: location.isOf) else {
            throw DeviceError(
                .unavailable,
                "volume \(id): its region, \(location.devname) when it was last seen, is not here; bring it back")
        }
        guard region.isEnabled else {
            throw DeviceError(
                .unavailable,
                "volume \(id): its region is disabled; `ndctl enable-region \(region.devname)` brings it back")
        }
        return region
    }
}
