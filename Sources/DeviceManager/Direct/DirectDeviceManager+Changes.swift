import Host
import Ndctl

// Creation and removal.
extension DirectDeviceManager {
    package func create(_ spec: VolumeSpec, at location: String) async throws(DeviceError) -> Volume {
        let volume = try await allocate(spec, in: location)
        do {
            let device = BlockDevice(path: try await attach(volume.id, location: location))
            try await blockingDevice { try device.zeroEnds() }
        } catch {
            throw await takenBack(volume.id, after: error)
        }
        return volume
    }

    /// Its content is what was in the memory before.
    func allocate(_ spec: VolumeSpec, in location: String) async throws(DeviceError) -> Volume {
        do {
            let (volume, region) = try await inTurn { ndctl in
                let volume = try Self.make(spec, in: location, ndctl)
                return (volume, try ndctl.snapshot().first(where: RegionLocation(location).isOf))
            }
            if let region { noteSpace(in: region) }
            return volume
        } catch {
            guard error.code != .alreadyExists else { throw error }
            throw await takenBack(spec.id, after: error)
        }
    }

    private static func make(_ spec: VolumeSpec, in location: String, _ ndctl: Ndctl) throws -> Volume {
        if let there = try ndctl.namespaces(of: spec.id).first {
            throw DeviceError(
                .alreadyExists,
                "volume \(spec.id): \(there.namespace.devname) has that name, and no record explains it")
        }
        let regions = try ndctl.snapshot()
        let region = try regions.region(location, for: spec.id)
        let layout = NamespaceLayout(spec.parameters)
        let space = RegionSpace(region, layout)
        var raw = try space.raw(for: spec.size)
        // What the kernel keeps for itself was computed; where it keeps more, a larger namespace makes up for that.
        for _ in 0..<3 {
            guard space.waste(ofRaw: raw) != nil else {
                throw DirectPlan(regions).noRoom(for: spec, in: [space])
            }
            let namespace = try ndctl.createNamespace(region: region.devname, request(spec, layout, raw: raw))
            if namespace.size >= spec.size.required {
                try spec.size.checkLimit(for: spec.id, of: namespace.size)
                return Volume(id: spec.id, size: namespace.size, location: location)
            }
            try ndctl.destroyNamespace(namespace.devname)
            raw = region.alignedUp(raw + (spec.size.required - namespace.size)) ?? .max
        }
        throw DeviceError(
            .failed,
            "volume \(spec.id): the kernel keeps more of each namespace in \(region.devname) than can be made up for"
        )
    }

    private static func request(_ spec: VolumeSpec, _ layout: NamespaceLayout, raw: UInt64) -> NamespaceRequest {
        NamespaceRequest(
            name: spec.id.rawValue, mode: layout.mode == .fsdax ? .fsdax : .sector, size: raw,
            pageMap: layout.pageMap == .dev ? .device : .memory)
    }

    /// Leaves nothing of a creation that failed, and says why it did.
    func takenBack(_ id: VolumeID, after error: DeviceError) async -> DeviceError {
        do {
            try await destroy(id)
            return error
        } catch let second {
            return DeviceError(
                .failed, "\(error); and the namespace of volume \(id) could not be removed", cause: second)
        }
    }

    package func discard(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        let found = try await inTurn { ndctl in
            let found = try ndctl.namespaces(of: id)
            if found.isEmpty { try ndctl.snapshot().region(location, for: id) }
            return found
        }
        if let erasure {
            for named in found { try await erase(named, id, erasure) }
        }
        try await destroy(id)
    }

    package func delete(_ id: VolumeID, location: String, erasure: Erasure?) async throws(DeviceError) {
        guard let found = try await find(id, enabling: false) else { return try await checkRegion(location, for: id) }
        try await checkUnused(found, id)
        if let erasure { try await erase(found, id, erasure) }
        try await destroy(id)
    }

    /// All namespaces of that name, whatever state they are in; none is fine.
    func destroy(_ id: VolumeID) async throws(DeviceError) {
        let regions = try await inTurn { ndctl in
            let found = try ndctl.namespaces(of: id)
            for named in found { try ndctl.destroyNamespace(named.namespace.devname) }
            let touched = Set(found.map(\.region))
            return touched.isEmpty ? [] : try ndctl.snapshot().filter { touched.contains($0.devname) }
        }
        for region in regions { noteSpace(in: region) }
    }
}

// Use and overwriting.
extension DirectDeviceManager {
    package func checkUnused(_ id: VolumeID, location: String) async throws(DeviceError) {
        guard let found = try await find(id, enabling: false) else { return try await checkRegion(location, for: id) }
        try await checkUnused(found, id)
    }

    /// Where the region is, a namespace that is not there is certainly gone.
    private func checkRegion(_ location: String, for id: VolumeID) async throws(DeviceError) {
        try await inTurn { ndctl in _ = try ndctl.snapshot().region(location, for: id) }
    }

    func checkUnused(_ found: NamedNamespace, _ id: VolumeID) async throws(DeviceError) {
        guard let path = found.path else { return }
        try await waitUntilUnused(id) { () throws(DeviceError) in
            try await blockingDevice {
                // Without its node nobody can have opened it.
                guard let number = try? BlockDevice(path: path).number() else { return .unused }
                if try MountTable.isMountedAnywhere(number) { return .mounted }
                return try BlockDevice.isOpen(number) ? .open : .unused
            }
        }
    }

    /// Of a sector volume all memory is overwritten, since its BTT keeps sectors back in which old data lies.
    func erase(_ found: NamedNamespace, _ id: VolumeID, _ erasure: Erasure) async throws(DeviceError) {
        let devname = found.namespace.devname
        var path = found.path
        if found.namespace.mode != .fsdax || path == nil {
            let raw = try await inTurn { ndctl in try ndctl.enableRaw(devname) }
            path = raw.blockDevice.map { "/dev/\($0)" }
        }
        guard let path else {
            throw DeviceError(.failed, "volume \(id): its namespace \(devname) has no block device to overwrite")
        }
        try await erasure.run(on: BlockDevice(path: path), of: id, counting: erasedBytes)
    }
}
