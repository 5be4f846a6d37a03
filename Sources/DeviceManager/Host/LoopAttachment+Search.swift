import Glibc
import SystemPackage

extension LoopAttachment {
    /// A loop device that is in use, with the path that its file had when the kernel was asked.
    package struct Listed: Sendable, Hashable {
        package let loop: LoopAttachment
        /// Without the mark that the kernel puts behind the path of a deleted file.
        package let file: String
        package let isDeleted: Bool
    }

    private static let folder = "/sys/block"

    /// All that are in use. The paths are hints: they are those of the mount namespace that attached the file.
    package static func all() throws(HostError) -> [Listed] {
        try BackingDirectory(path: folder).names().compactMap { name in
            guard name.hasPrefix("loop"), let number = Int(name.dropFirst(4)) else { return nil }
            guard let path = text("\(folder)/\(name)/loop/backing_file") else { return nil }
            let mark = " (deleted)"
            let isDeleted = path.hasSuffix(mark)
            let file = isDeleted ? String(path.dropLast(mark.count)) : path
            return Listed(loop: LoopAttachment(number: number), file: file, isDeleted: isDeleted)
        }
    }

    /// The devices that show this file.
    package static func showing(
        _ file: BackingFile, _ identity: BackingFile.Identity
    ) throws(HostError) -> [LoopAttachment] {
        // Most often none does, and looking at thousands of devices takes long.
        guard try file.mayBeOpen() else { return [] }
        let name = file.path.split(separator: "/").last.map { "/" + $0 } ?? ""
        var found: [LoopAttachment] = []
        for listed in try all() where listed.file.hasSuffix(name) {
            if try listed.loop.identity() == identity { found.append(listed.loop) }
        }
        return found.sorted { $0.number < $1.number }
    }

    /// Nil for a device that shows no file.
    private static func text(_ path: String) -> String? {
        guard let file = try? Descriptor(opening: path, O_RDONLY), let bytes = try? file.readAll() else { return nil }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").first.map(String.init)
    }
}
