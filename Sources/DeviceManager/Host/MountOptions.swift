import Glibc

/// Mount options as words, sorted into the flags of mount(2) and the text for the file system. Options may be
/// sensitive: no message holds one, except words of this file.
struct MountOptions {
    /// MS_ flags, MS_RDONLY included.
    private(set) var flags: UInt = 0
    /// What only the file system knows, in the order of the request.
    private(set) var data: [String] = []

    var readOnly: Bool { flags & UInt(MS_RDONLY) != 0 }

    init(_ options: [String], readOnly: Bool) throws(HostError) {
        for word in options.flatMap(Self.words) {
            try add(word)
        }
        if readOnly { flags |= UInt(MS_RDONLY) }
    }

    private mutating func add(_ word: String) throws(HostError) {
        if let known = Self.known[word] {
            flags = flags & ~known.clears | known.sets
        } else if Self.forbidden.contains(word) {
            throw HostError(.invalidArgument, "mount option \"\(word)\" is not possible for a volume; leave it out")
        } else if !Self.isForMountProgram(word) {
            data.append(word)
        }
    }

    /// Commas separate words, except between double quotes (SELinux contexts).
    private static func words(_ option: String) -> [String] {
        var quoted = false
        let words = option.split { character in
            if character == "\"" { quoted.toggle() }
            return character == "," && !quoted
        }
        return words.map(String.init)
    }

    /// What mount(8) keeps for itself, and /etc/fstab has in use.
    private static func isForMountProgram(_ word: String) -> Bool {
        ignored.contains(word) || word.hasPrefix("x-") || word.hasPrefix("X-") || word.hasPrefix("comment=")
    }

    private static let ignored: Set<String> = [
        "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev",
    ]

    /// They ask mount(8) for something else than mounting a device.
    private static let forbidden: Set<String> = [
        "remount", "bind", "rbind", "move", "loop", "shared", "rshared", "private", "rprivate", "slave", "rslave",
        "unbindable", "runbindable",
    ]

    private static let known: [String: (sets: UInt, clears: UInt)] = {
        var known: [String: (sets: UInt, clears: UInt)] = [:]
        for (on, off, flag) in switches {
            known[on] = (UInt(flag), 0)
            known[off] = (0, UInt(flag))
        }
        let accessTimes = UInt(MS_NOATIME | MS_RELATIME | MS_STRICTATIME)
        for (word, flag) in [("noatime", MS_NOATIME), ("relatime", MS_RELATIME), ("strictatime", MS_STRICTATIME)] {
            known[word] = (UInt(flag), accessTimes)
        }
        return known
    }()

    private static let switches: [(on: String, off: String, flag: Int)] = [
        ("ro", "rw", MS_RDONLY), ("nosuid", "suid", MS_NOSUID), ("nodev", "dev", MS_NODEV),
        ("noexec", "exec", MS_NOEXEC), ("nosymfollow", "symfollow", MS_NOSYMFOLLOW),
        ("sync", "async", MS_SYNCHRONOUS), ("dirsync", "nodirsync", MS_DIRSYNC), ("noatime", "atime", MS_NOATIME),
        ("nodiratime", "diratime", MS_NODIRATIME), ("relatime", "norelatime", MS_RELATIME),
        ("strictatime", "nostrictatime", MS_STRICTATIME), ("lazytime", "nolazytime", MS_LAZYTIME),
        ("mand", "nomand", MS_MANDLOCK), ("silent", "loud", MS_SILENT),
    ]
}
