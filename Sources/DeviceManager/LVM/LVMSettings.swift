import Glibc

extension LVM {
    /// How `lvm` is run in this process; fixed at start-up by whoever makes the `LVM`. The defaults are those of the
    /// driver; tests narrow the devices, so that they never see those of the machine.
    package struct Settings: Sendable {
        /// A name looked for in the usual system directories, or a path.
        package var executable = "lvm"
        /// The only devices that lvm may look at; nil for all.
        package var devices: [String]?
        /// Where lvm's lock files go; nil for LVM's own `/run/lock/lvm`.
        package var lockDirectory: String?
        /// False where the kernel has no device-mapper: only metadata changes then, and new volumes stay inactive.
        package var deviceMapper = true
        /// How long one run may take before it is asked to end.
        package var timeout: Duration = .seconds(60)
        /// How long a run that was asked to end may take until it is killed.
        package var grace: Duration = .seconds(20)
        /// Bytes of standard output; ten thousand volumes report in about 4 MiB.
        package var outputLimit = 64 << 20

        package init() {}
    }
}

extension LVM.Settings {
    /// Bytes of standard error. An lvm that says more is ended like one that takes too long.
    var errorLimit: Int { 4 << 20 }

    /// Nothing of the caller's environment reaches lvm but the place of its configuration.
    var environment: [String: String] {
        var environment = [
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",  // errors are recognised by their English text
            "LVM_SUPPRESS_FD_WARNINGS": "1",
        ]
        if let directory = getenv("LVM_SYSTEM_DIR") {
            environment["LVM_SYSTEM_DIR"] = String(cString: directory)
        }
        return environment
    }

    /// The `--config` that makes lvm work alike on a host and in a container, whatever `/etc/lvm` says.
    var configuration: String {
        var devices = [
            // No udev reaches a container: lvm must look at /dev itself and never wait for udev.
            "obtain_device_list_from_udev=0", "use_devicesfile=0", "multipath_component_detection=0",
            "md_component_detection=0",
            // PMEM refuses discards.
            "issue_discards=0",
        ]
        if let allowed = self.devices {
            let patterns = allowed.map { "\"a|^\($0)$|\"" } + ["\"r|.*|\""]
            let filter = patterns.joined(separator: ",")
            devices += ["filter=[\(filter)]", "global_filter=[\(filter)]"]
        }
        var global = ["notify_dbus=0", "use_lvmpolld=0", "thin_check_executable=\"\(LVM.thinCheck)\""]
        if let lockDirectory {
            global.append("locking_dir=\"\(lockDirectory)\"")
        }
        return [
            "devices{\(devices.joined(separator: " "))}",
            "global{\(global.joined(separator: " "))}",
            // No dmeventd either: it would be started inside our container and outlive it.
            // Nobody extends a pool that is full, so waiting for that, as is the default, would only hang its users.
            "activation{udev_sync=0 udev_rules=0 monitoring=0 error_when_full=1}",
            "backup{backup=0 archive=0}",
            "report{compact_output=0 list_item_separator=\",\"}",
        ].joined(separator: " ")
    }
}
