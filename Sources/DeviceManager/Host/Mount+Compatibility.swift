import Glibc

extension Mount {
    /// Restrictions that somebody asked for: they are shown whenever set, and never set by default.
    private static let exactFlags = UInt(
        MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | MS_SYNCHRONOUS | MS_DIRSYNC)
    /// Shown when set, but the kernel may set them by default, so they only count when asked for.
    private static let shownFlags = UInt(MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_LAZYTIME)
    /// Words for the file system that are off by default and shown when on. Others may be a default that is not shown.
    private static let shownWords: Set<String> = [
        "dax=always", "dax=never", "dax=inode", "data=journal", "data=writeback", "discard", "nobarrier",
        "norecovery", "nouuid",
    ]

    /// Whether this mount is what a request for these options gets. A mount option that the kernel does not show in
    /// either form is taken for the default; options for the file system that nobody asked for are not looked at.
    package func isCompatible(readOnly: Bool, options requested: [String]) -> Bool {
        guard let wanted = try? MountOptions(requested, readOnly: readOnly),
            let shown = try? MountOptions(options + superOptions.filter { $0 != "rw" }, readOnly: false)
        else { return false }
        return wanted.readOnly == isReadOnly
            && wanted.flags & Self.exactFlags == shown.flags & Self.exactFlags
            && hasAccessTimes(of: wanted, shown)
            && wanted.data.allSatisfy { agrees(Self.canonical($0), with: Set(shown.data.map(Self.canonical))) }
    }

    private func hasAccessTimes(of wanted: MountOptions, _ shown: MountOptions) -> Bool {
        if wanted.flags & UInt(MS_STRICTATIME) != 0, shown.flags & UInt(MS_NOATIME | MS_RELATIME) != 0 { return false }
        let asked = wanted.flags & Self.shownFlags
        return asked & shown.flags == asked
    }

    private func agrees(_ word: String, with shown: Set<String>) -> Bool {
        if shown.contains(word) { return true }
        if Self.shownWords.contains(word) { return false }
        guard let equals = word.firstIndex(of: "=") else {
            return !shown.contains(word.hasPrefix("no") ? String(word.dropFirst(2)) : "no" + word)
        }
        let key = word[...equals]
        return !shown.contains { $0.hasPrefix(key) }
    }

    /// The kernel shows one spelling where it takes several.
    private static func canonical(_ word: String) -> String {
        switch word {
        case "dax": "dax=always"
        case "noload": "norecovery"
        default: word
        }
    }
}
