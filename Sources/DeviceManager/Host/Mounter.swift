import CLinux
import Glibc
import SystemPackage

/// Mounts and unmounts by system call, in this process's mount namespace. Every method blocks its thread; what is
/// mounted already is for the caller to find in the MountTable.
package enum Mounter {
    /// The kernel takes at most one page of options.
    private static let dataLimit = 4095

    package static func mount(
        device: String, at path: String, type: FilesystemType, options: [String], readOnly: Bool
    ) throws(HostError) {
        let options = try MountOptions(options, readOnly: readOnly)
        let data = options.data.joined(separator: ",")
        guard data.utf8.count <= dataLimit else {
            throw HostError(.invalidArgument, "cannot mount \(device) at \(path): more than 4 KiB of mount options")
        }
        let target = try mountPoint(path)
        guard Glibc.mount(device, target, type.rawValue, options.flags, data) == 0 else {
            throw mountError(errno, device, target, type)
        }
    }

    /// Makes a directory, a file or a device node seen at a second place. A read-only mount is read-only before anybody
    /// can see it, also where the mount propagates to.
    package static func bind(from source: String, to path: String, readOnly: Bool) throws(HostError) {
        let target = try mountPoint(path)
        let tree = open_tree(AT_FDCWD, source, UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC))
        guard tree >= 0 else {
            // Linux before 5.12 and some sandboxes lack these calls.
            if errno == ENOSYS { return try bindInSteps(from: source, to: target, readOnly: readOnly) }
            throw .system(errno, "bind \(source) to \(target)")
        }
        let clone = Descriptor(adopting: tree)
        if readOnly {
            var attributes = mount_attr()
            attributes.attr_set = UInt64(MOUNT_ATTR_RDONLY)
            let flags = UInt32(linux_AT_EMPTY_PATH)
            guard mount_setattr(clone.raw, "", flags, &attributes, MemoryLayout<mount_attr>.size) == 0 else {
                if errno == ENOSYS { return try bindInSteps(from: source, to: target, readOnly: readOnly) }
                throw .system(errno, "make the mount of \(source) at \(target) read-only")
            }
        }
        guard move_mount(clone.raw, "", AT_FDCWD, target, UInt32(MOVE_MOUNT_F_EMPTY_PATH)) == 0 else {
            throw .system(errno, "bind \(source) to \(target)")
        }
    }

    /// The older way: the flags that the kernel locks must be given again, or it refuses the second step.
    package static func bindInSteps(from source: String, to target: String, readOnly: Bool) throws(HostError) {
        guard Glibc.mount(source, target, nil, UInt(MS_BIND), nil) == 0 else {
            throw .system(errno, "bind \(source) to \(target)")
        }
        guard readOnly else { return }
        do throws(HostError) {
            let shown = try MountOptions(MountTable.current().at(target)?.options ?? [], readOnly: true)
            let kept = shown.flags & UInt(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW)
            guard Glibc.mount(nil, target, nil, UInt(MS_REMOUNT | MS_BIND) | kept, nil) == 0 else {
                throw HostError.system(errno, "make the mount of \(source) at \(target) read-only")
            }
        } catch {
            try? unmount(target)
            throw error
        }
    }

    /// Unmounts what is seen at the path. It is fine if nothing is mounted there, or the path does not exist.
    package static func unmount(_ path: String) throws(HostError) {
        guard let target = ResolvedPath(path)?.text else { return }
        guard umount2(target, Int32(UMOUNT_NOFOLLOW)) != 0 else { return }
        let number = errno
        if [EINVAL, ENOENT, ENOTDIR].contains(number), try MountTable.current().at(target) == nil { return }
        let remedy = "something still uses it; fuser -vm \(target) lists the processes"
        throw .system(number, "unmount \(target)", remedy: number == EBUSY ? remedy : nil)
    }

    /// Unmounts everything stacked at the path: an interrupted call may have mounted a volume twice.
    package static func unmountAll(_ path: String) throws(HostError) {
        while try MountTable.current().at(path) != nil {
            try unmount(path)
        }
    }
}

extension Mounter {
    /// Never a symbolic link: the mount would land elsewhere, where unmounting does not find it.
    private static func mountPoint(_ path: String) throws(HostError) -> String {
        let target = ResolvedPath(path)?.text ?? path
        var status = stat()
        guard lstat(target, &status) == 0 else {
            throw .system(errno, "mount at \(path)", remedy: errno == ENOENT ? "the mount point does not exist" : nil)
        }
        guard status.st_mode & S_IFMT != S_IFLNK else {
            throw HostError(.invalidArgument, "cannot mount at \(path): it is a symbolic link")
        }
        return target
    }

    private static func mountError(
        _ number: Int32, _ device: String, _ target: String, _ type: FilesystemType
    ) -> HostError {
        let remedy: String? =
            switch number {
            case ENODEV: "this node's kernel has no \(type.rawValue); load its module"
            case EINVAL, EOPNOTSUPP:
                "\(device) has no usable \(type.rawValue), or the kernel refuses a mount option; its log (dmesg) tells"
            case EBUSY: "the device is in use, or mounted with other options; lsblk \(device) shows where"
            case EROFS, EACCES: "the device is read-only; mount the volume read-only"
            case EUCLEAN, EBADMSG: "the file system is damaged; unmounted, fsck.\(type.rawValue) may repair it"
            default: nil
            }
        return .system(number, "mount \(device) at \(target) as \(type.rawValue)", remedy: remedy)
    }
}
