import Host

/// Where the kernel takes what libndctl asks of it.
enum Sysfs {
    /// Throws `failedPrecondition` with the remedy where /sys is mounted read-only, as containers have it; blocks.
    static func checkWritable() throws {
        try checkWritable(MountTable.current())
    }

    static func checkWritable(_ table: MountTable) throws(DeviceError) {
        guard let mount = table.at("/sys"), mount.isReadOnly else { return }
        throw DeviceError(
            .failedPrecondition,
            "/sys is mounted read-only (\(mount.options.joined(separator: ",")), the file system itself "
                + "\(mount.superOptions.joined(separator: ","))), so no namespace can be made; give the container the "
                + "host's /sys: a privileged container with a hostPath volume of it")
    }
}
