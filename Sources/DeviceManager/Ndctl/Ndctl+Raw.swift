import CNdctl

extension Ndctl {
    /// Takes page map or BTT away for good and enables what is left: a block device of all of the namespace's memory.
    ///
    /// For overwriting it: a BTT keeps old sectors that its own block device does not reach. Fine to repeat.
    package func enableRaw(_ devname: String) throws(NdctlError) -> Namespace {
        let isRaw = try namespace(devname).isRaw
        if !isRaw {
            try inTurn { context throws(NdctlError) in
                let namespace = try context.namespace(devname)
                try Self.disable(namespace, devname)
                try check(ndctl_namespace_disable_invalidate(namespace), "detach \(devname)")
                try check(
                    ndctl_namespace_set_enforce_mode(namespace, NDCTL_NS_MODE_RAW), "reset the mode of \(devname)")
                // Or the kernel would find the old BTT again.
                try check(ndctl_namespace_set_raw_mode(namespace, 1), "make \(devname) raw")
            }
            try enableNamespace(devname)
        }
        let namespace = try namespace(devname)
        guard namespace.isRaw else {
            throw NdctlError(.failed, "\(devname) is not raw, but \(namespace.mode.rawValue), whatever was done")
        }
        return namespace
    }
}

extension Namespace {
    fileprivate var isRaw: Bool { isActive && mode == .raw && size == rawSize }
}
