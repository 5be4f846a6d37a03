import FoundationEssentials
import Glibc

/// The work directory as the fuzzer lays it out: paths to try, and canaries that nobody may touch.
struct Grounds: Sendable {
    let work: String
    private let canaries: [String: String]

    init(work: String) throws {
        self.work = work
        try Disk.makeDirectory("\(work)/canary/directory")
        try Disk.makeDirectory("\(work)/empty")
        var canaries: [String: String] = [:]
        for name in ["canary/file", "canary/directory/file", "canary/target.txt"] {
            canaries["\(work)/\(name)"] = "canary \(name)"
        }
        for (path, text) in canaries { try Data(text.utf8).write(to: URL(filePath: path)) }
        // Links of every kind: into the canary, to nothing, to itself.
        for (name, goal) in [
            ("to-canary", "canary/directory"), ("to-file", "canary/file"), ("to-nothing", "nothing"),
            ("to-itself", "to-itself"), ("to-empty", "empty"),
        ] {
            guard symlink(goal, "\(work)/\(name)") == 0 else { throw Disk.failure("link", "\(work)/\(name)") }
        }
        self.canaries = canaries
    }

    /// Whatever they look like, they lead to places below the work directory.
    var paths: [String] {
        let names = [
            "canary", "canary/file", "canary/directory", "canary/directory/new", "canary/target.txt", "to-canary",
            "to-canary/new", "to-file", "to-nothing", "to-itself", "to-itself/x", "to-empty", "to-empty/new", "empty",
            "missing/parent/target", "empty/../canary", "empty/./x", "empty//x", "empty/x/", "empty/new line\n",
            "empty/with blank", "empty/\u{1}", "empty/e\u{301}", "empty/\u{1F4BE}", "empty/\u{0}", "empty/\\040",
            "empty/\(String(repeating: "n", count: 255))", "empty/\(String(repeating: "n", count: 256))",
            "empty/" + Array(repeating: "d", count: 1900).joined(separator: "/"),
            "empty/" + Array(repeating: "d", count: 2200).joined(separator: "/"),
            "empty/" + String(repeating: "p", count: 70_000), "../\(work.split(separator: "/").last ?? "")/empty/x",
        ]
        return names.map { "\(work)/\($0)" }
    }

    /// Files beside the target paths, with what was in them at first, and nothing more.
    func check() throws {
        for (path, text) in canaries {
            try require((try? Disk.text(path)) == text, "the canary \(path) is gone or changed")
        }
        for (directory, names) in [("canary", ["directory", "file", "target.txt"]), ("canary/directory", ["file"])] {
            let seen = try FileManager.default.contentsOfDirectory(atPath: "\(work)/\(directory)").sorted()
            try requireEqual(seen, names, "files in \(directory)")
        }
        try require(try Disk.mounts(below: "\(work)/canary").isEmpty, "something is mounted in the canary")
    }
}

/// What is outside: the mount table and the names in the machine's directories.
///
/// Taken before and after; the work directory and what the caller excludes do not count.
struct Outside: Equatable {
    private let mounts: Set<String>
    private let files: Set<String>

    init(except excluded: [String]) throws {
        func isOutside(_ path: String) -> Bool { !excluded.contains { path == $0 || path.hasPrefix($0 + "/") } }
        mounts = Set(try Disk.mounts().filter { isOutside($0.point) }.map { "\($0.type) at \($0.point)" })
        var files: Set<String> = []
        for (directory, depth) in [
            ("/", 1), ("/etc", 3), ("/usr", 2), ("/var", 2), ("/opt", 2), ("/root", 1), ("/home", 2), ("/srv", 2),
            ("/mnt", 2), ("/boot", 2),
        ] {
            Self.collect(directory, depth, &files, isOutside)
        }
        self.files = files
    }

    private static func collect(
        _ directory: String, _ depth: Int, _ files: inout Set<String>, _ isOutside: (String) -> Bool
    ) {
        guard depth > 0, let names = try? FileManager.default.contentsOfDirectory(atPath: directory) else { return }
        for name in names {
            let path = directory == "/" ? "/\(name)" : "\(directory)/\(name)"
            var facts = stat()
            guard isOutside(path), lstat(path, &facts) == 0 else { continue }
            files.insert("\(path) \(String(facts.st_mode, radix: 8))")
            if facts.st_mode & S_IFMT == S_IFDIR { collect(path, depth - 1, &files, isOutside) }
        }
    }

    /// What is different now.
    func differences(to later: Outside) -> [String] {
        (mounts.symmetricDifference(later.mounts).map { "mount table: \($0)" }
            + files.symmetricDifference(later.files).map { "file: \($0)" }).sorted()
    }
}
