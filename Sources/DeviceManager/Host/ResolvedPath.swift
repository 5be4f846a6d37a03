import Glibc

/// A path as the mount table spells it: symbolic links resolved in all but the last component, which for a mount point
/// is never followed. nil when the parent does not exist.
struct ResolvedPath {
    let text: String

    init?(_ path: String) {
        guard let last = path.split(separator: "/").last, last != ".", last != ".." else {
            guard let whole = Self.real(path) else { return nil }
            text = whole
            return
        }
        let parent = path[..<last.startIndex]
        guard let real = Self.real(parent.isEmpty ? "." : String(parent)) else { return nil }
        text = real == "/" ? "/\(last)" : "\(real)/\(last)"
    }

    private static func real(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}
