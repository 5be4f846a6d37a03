import Glibc
import SystemPackage

/// Small files in which the kernel tells and takes what is in them: attributes of /sys, and devices that take a line of
/// text. Every method blocks its thread.
package enum KernelFile {
    /// Its text without the white space around it; nil when there is no such file, or what it told of is gone.
    package static func read(_ path: String) throws(HostError) -> String? {
        do throws(Errno) {
            let file = try Descriptor(opening: path, O_RDONLY)
            let text = String(decoding: try file.readAll(), as: UTF8.self)
            return String(text.trimming(while: \.isWhitespace))
        } catch {
            if [ENOENT, ENOTDIR, ENODEV, ENXIO].contains(error.rawValue) { return nil }
            throw .system(error.rawValue, "read \(path)")
        }
    }

    /// Writes in one call, as the kernel wants it; `operation` completes "cannot …".
    package static func write(_ text: String, to path: String, _ operation: String) throws(HostError) {
        do throws(Errno) {
            let file = try Descriptor(opening: path, O_WRONLY)
            try write(text, to: file)
        } catch {
            throw .system(error.rawValue, operation)
        }
    }

    /// Writes, and reads the answer through the same descriptor.
    package static func ask(_ text: String, of path: String, _ operation: String) throws(HostError) -> String {
        do throws(Errno) {
            let file = try Descriptor(opening: path, O_RDWR)
            try write(text, to: file)
            return String(decoding: try file.readAll(), as: UTF8.self)
        } catch {
            throw .system(error.rawValue, operation)
        }
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The names in a directory; none when there is no such directory.
    package static func names(_ path: String) throws(HostError) -> [String] {
        do throws(HostError) {
            return try BackingDirectory(path: path).names()
        } catch {
            guard error.code != .notFound else { return [] }
            throw error
        }
    }

    private static func write(_ text: String, to file: borrowing Descriptor) throws(Errno) {
        let written = try systemCall { text.withCString { Glibc.write(file.raw, $0, strlen($0)) } }
        guard written == text.utf8.count else { throw .ioError }
    }
}

extension StringProtocol {
    fileprivate func trimming(while isUnwanted: (Character) -> Bool) -> SubSequence {
        guard let first = firstIndex(where: { !isUnwanted($0) }), let last = lastIndex(where: { !isUnwanted($0) })
        else { return prefix(0) }
        return self[first...last]
    }
}
