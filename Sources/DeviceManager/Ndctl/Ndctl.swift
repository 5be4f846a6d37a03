import CNdctl
import Synchronization

/// The door to libndctl: regions and namespaces as values, and the verbs that change namespaces, each by device name.
/// Stateless; calls block and are taken one at a time: in the process, because the library misbehaves otherwise, and
/// among processes, because each region has but one spare namespace.
/// A verb that fails has undone what it did, or its error's cause says what is left.
package struct Ndctl: Sendable {
    private static let turn = Mutex(())

    package init() {}

    /// All regions of all buses, whatever their state, in the order of their numbers.
    package func snapshot() throws(NdctlError) -> [Region] {
        try inTurn { context throws(NdctlError) in
            context.regions().map(Region.init(reading:)).sorted { $0.id < $1.id }
        }
    }

    /// Creates and enables a namespace. Its label carries the name from the moment on at which it takes space.
    package func createNamespace(
        region: String, _ request: NamespaceRequest
    ) throws(NdctlError) -> Namespace {
        let devname = try inTurn { context throws(NdctlError) in
            try NamespaceCreation(request, in: context.region(region)).run()
        }
        return try namespace(devname)
    }

    package func namespace(_ devname: String) throws(NdctlError) -> Namespace {
        try inTurn { context throws(NdctlError) in
            Namespace(reading: try context.namespace(devname))
        }
    }

    /// Does nothing if it is enabled already.
    package func enableNamespace(_ devname: String) throws(NdctlError) {
        try inTurn { context throws(NdctlError) in
            try Self.enable(context.namespace(devname), devname)
        }
    }

    /// Does nothing if it is disabled already; busy if anything has its block device open exclusively, as mounts and
    /// volume groups have.
    package func disableNamespace(_ devname: String) throws(NdctlError) {
        try inTurn { context throws(NdctlError) in
            try Self.disable(context.namespace(devname), devname)
        }
    }

    /// Gives a namespace another alternate name. The kernel allows it only while the namespace is disabled, so an
    /// active one is disabled and enabled again.
    package func renameNamespace(_ devname: String, to name: String) throws(NdctlError) {
        try NamespaceCreation.checkName(name)
        let wasActive = try inTurn { context throws(NdctlError) in
            let namespace = try context.namespace(devname)
            let wasActive = ndctl_namespace_is_active(namespace)
            try Self.disable(namespace, devname)
            return wasActive
        }
        // Another context: disabling has freed what the first one knew about the namespace's holder.
        let failure = attempt { () throws(NdctlError) in try setName(devname, name) }
        let second = wasActive ? attempt { () throws(NdctlError) in try enableNamespace(devname) } : nil
        if let failure {
            throw NdctlError(failure.code, failure.message, errno: failure.errno, cause: second)
        }
        if let second {
            throw second
        }
    }

    /// Deletes a namespace and frees its space. Its contents stay in the memory, but no label leads there any more.
    package func destroyNamespace(_ devname: String) throws(NdctlError) {
        try inTurn { context throws(NdctlError) in
            let namespace = try context.namespace(devname)
            guard ndctl_region_get_ro(ndctl_namespace_get_region(namespace)) == 0 else {
                throw NdctlError(.permissionDenied, "cannot destroy \(devname): its region is read-only")
            }
            // libndctl reports success for these without doing anything.
            guard ndctl_namespace_get_type(namespace) == UInt32(ND_DEVICE_NAMESPACE_PMEM) else {
                throw NdctlError(.unsupported, "cannot destroy \(devname): its region has no labels")
            }
            try Self.disable(namespace, devname)
            try Self.delete(namespace, devname)
        }
    }

    private func setName(_ devname: String, _ name: String) throws(NdctlError) {
        try inTurn { context throws(NdctlError) in
            let namespace = try context.namespace(devname)
            try check(ndctl_namespace_set_alt_name(namespace, name), "give \(devname) the name \(name)")
        }
        // libndctl reports success where the kernel has no such attribute.
        guard try namespace(devname).alternateName == name else {
            throw NdctlError(.unsupported, "cannot give \(devname) the name \(name): its region has no labels")
        }
    }

    func inTurn<T: Sendable>(
        _ body: (borrowing Context) throws(NdctlError) -> T
    ) throws(NdctlError) -> T {
        try Self.turn.withLock { _ throws(NdctlError) in
            try BusLock.holding { () throws(NdctlError) in try body(Context()) }
        }
    }
}

extension Ndctl {
    static func enable(_ namespace: OpaquePointer, _ devname: String) throws(NdctlError) {
        guard !ndctl_namespace_is_active(namespace) else { return }
        try check(
            ndctl_namespace_enable(namespace), "enable \(devname) (the kernel's log may say more)")
    }

    static func disable(_ namespace: OpaquePointer, _ devname: String) throws(NdctlError) {
        guard ndctl_namespace_is_active(namespace) else { return }
        try check(ndctl_namespace_disable_safe(namespace), "disable \(devname), is it in use?")
        // The call above does not look whether it had an effect.
        guard !ndctl_namespace_is_active(namespace) else {
            throw NdctlError(.busy, "cannot disable \(devname): the kernel keeps it active")
        }
    }

    /// Detaching comes first: the kernel keeps the mode while a page map or BTT, even an idle one, claims the memory.
    static func delete(_ namespace: OpaquePointer, _ devname: String) throws(NdctlError) {
        try check(ndctl_namespace_disable_invalidate(namespace), "detach \(devname)")
        try check(ndctl_namespace_set_enforce_mode(namespace, NDCTL_NS_MODE_RAW), "reset the mode of \(devname)")
        try check(ndctl_namespace_delete(namespace), "delete \(devname)")
    }
}

/// The error of `body`, for places where it must not end the work.
func attempt(_ body: () throws(NdctlError) -> Void) -> NdctlError? {
    do {
        try body()
        return nil
    } catch {
        return error
    }
}
