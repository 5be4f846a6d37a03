import Glibc
import SystemPackage

/// A path as the mount table spells it: symbolic links resolved in all but the last component, which for a mount point
/// is never followed. nil when the parent does not exist.
struct ResolvedPath {
    let text: String

    init?(_ path: String) {
        let file = FilePath(path)
        guard let last = file.lastComponent, last.kind == .regular else {
            guard let whole = Self.real(path) else { return nil }
            text = whole
            return
        }
        let parent = file.removingLastComponent()
        guard let real = Self.real(parent.isEmpty ? "." : parent.string) else { return nil }
        text = FilePath(real).appending(last).string
    }

    private static func real(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}
