import Glibc

/// Whole lines to a descriptor, each by one write(2) where the kernel takes it at once.
package enum Output {
    /// Adds the newline. There is nowhere to report that standard output or the log cannot be written.
    package static func write(_ line: String, to descriptor: Int32 = STDOUT_FILENO) {
        var line = line + "\n"
        line.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let start = rest.baseAddress, !rest.isEmpty {
                let count = Glibc.write(descriptor, start, rest.count)
                guard count > 0 || errno == EINTR else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(max(count, 0)))
            }
        }
    }
}
