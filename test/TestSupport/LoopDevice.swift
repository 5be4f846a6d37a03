import Glibc

/// A block device on an unlinked sparse file. The owner keeps the value for as long as it uses the device: the kernel
/// detaches it with the last descriptor, so nothing is left even if the test process dies.
package final class LoopDevice: Sendable {
    package let path: String
    private let descriptor: Int32

    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        init(_ operation: String) {
            description = "\(operation): \(String(cString: strerror(errno)))"
        }
    }

    package init(size: UInt64) throws {
        let file = try Self.unlinkedFile(size: size)
        defer { close(file) }
        (path, descriptor) = try Self.attach(file)
    }

    deinit {
        close(descriptor)
    }

    /// Passes the path of a new device of zeroes, and detaches it afterwards.
    package static func with<Result>(
        size: UInt64, _ body: (String) async throws -> Result
    ) async throws -> Result {
        let device = try LoopDevice(size: size)
        defer { withExtendedLifetime(device) {} }
        return try await body(device.path)
    }
}

extension LoopDevice {
    private static func unlinkedFile(size: UInt64) throws -> Int32 {
        var template = Array("/var/tmp/loop-XXXXXX".utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { throw Failure("mkstemp in /var/tmp") }
        unlink(template)
        guard ftruncate(file, off_t(size)) == 0 else {
            close(file)
            throw Failure("ftruncate to \(size) bytes")
        }
        return file
    }

    /// Another process may take the free number first, so a busy one is no failure.
    private static func attach(_ file: Int32) throws -> (String, Int32) {
        let control = open("/dev/loop-control", O_RDWR | O_CLOEXEC)
        guard control >= 0 else { throw Failure("open /dev/loop-control") }
        defer { close(control) }
        for _ in 0..<100 {
            let number = ioctl(control, Request.getFree, 0)
            guard number >= 0 else { throw Failure("LOOP_CTL_GET_FREE") }
            let path = "/dev/loop\(number)"
            let device = open(path, O_RDWR | O_CLOEXEC)
            guard device >= 0 else { throw Failure("open \(path)") }
            var configuration = Configuration(file: file)
            if ioctl(device, Request.configure, &configuration) == 0 {
                // The number's last user may have left it read-only.
                var readOnly: Int32 = 0
                guard ioctl(device, Request.setReadOnly, &readOnly) == 0 else { throw Failure("BLKROSET \(path)") }
                return (path, device)
            }
            let failure = errno
            close(device)
            guard failure == EBUSY else { throw Failure("LOOP_CONFIGURE \(path)") }
        }
        throw Failure("find a free loop device")
    }

    /// <linux/loop.h>, <linux/fs.h>
    private enum Request {
        static let setReadOnly: UInt = 0x125D
        static let getFree: UInt = 0x4C82
        static let configure: UInt = 0x4C0A
    }

    /// struct loop_config: its fields that matter here, at their places among 304 bytes.
    private struct Configuration {
        private var words = InlineArray<76, UInt32>(repeating: 0)

        init(file: Int32) {
            words[0] = UInt32(bitPattern: file)
            // info.lo_flags, LO_FLAGS_AUTOCLEAR: detach at the last close.
            words[2 + 13] = 4
        }
    }
}
