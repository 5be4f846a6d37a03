import Glibc
import Host
import TestSupport
import Testing

private let mib: UInt64 = 1 << 20

@Suite struct BlockDevicePathTests {
    @Test(
        "a path that is no block device is refused",
        arguments: [
            ("/etc/hostname", HostError.Code.invalidArgument), ("/dev/null", .invalidArgument), ("/", .invalidArgument),
            ("/dev/no-such-device", .notFound), ("/etc/hostname/x", .notFound),
        ])
    func refusesOthers(path: String, expected: HostError.Code) async {
        let device = BlockDevice(path: path)
        #expect(await code { _ = try device.number() } == expected)
        #expect(await code { _ = try device.size() } == expected)
        #expect(await code { try device.zeroEnds() } == expected)
    }

    @Test(
        "device numbers are split as the kernel does",
        arguments: [
            (dev_t(0x0701), "7:1"), (dev_t(0x1_0305), "259:5"), (dev_t(0x0010_0001), "0:257"),
            (dev_t(0x1000_0000_0000), "4096:0"), (dev_t(0xffff_ffff_ffff_ffff), "4294967295:4294967295"),
        ])
    func numbers(raw: dev_t, expected: String) {
        #expect(DeviceNumber(rawValue: raw).description == expected)
    }
}

@Suite(.enabled(if: isRoot, "needs root for loop devices"), .timeLimit(.minutes(2))) struct BlockDeviceTests {
    @Test func `size and number are the kernel's`() async throws {
        try await LoopDevice.with(size: 3 * mib + 4096) { path in
            let size = try BlockDevice(path: path).size()
            let number = try BlockDevice(path: path).number()
            #expect(size == 3 * mib + 4096)
            #expect(number.major == 7)
            #expect("/dev/loop\(number.minor)" == path)
        }
    }

    @Test(
        "a byte in the first or last MiB is no blank device, one between them is",
        arguments: [
            (0, false), (mib - 1, false), (mib, true), (3 * mib - 1, true), (3 * mib, false), (4 * mib - 1, false),
        ])
    func blankness(offset: UInt64, blank: Bool) async throws {
        try await LoopDevice.with(size: 4 * mib) { path in
            let device = BlockDevice(path: path)
            #expect(try device.endsAreZero())
            try write([1], to: path, at: offset)
            #expect(try device.endsAreZero() == blank)
        }
    }

    @Test(
        "zeroing the ends leaves the rest alone, on devices of any size",
        arguments: [
            4096, mib, mib + 512, 2 * mib, 5 * mib,
        ])
    func zeroEnds(size: UInt64) async throws {
        try await LoopDevice.with(size: size) { path in
            let device = BlockDevice(path: path)
            try write([UInt8](repeating: 0xa5, count: Int(size)), to: path)
            #expect(try !device.endsAreZero())
            try device.zeroEnds()
            #expect(try device.endsAreZero())
            let middle = size > 2 * mib ? Int(size - 2 * mib) : 0
            #expect(try read(middle, from: path, at: mib).allSatisfy { $0 == 0xa5 })
        }
    }

    @Test func `a device without content is not blank`() async throws {
        try await LoopDevice.with(size: 0) { path in
            #expect(await code { _ = try BlockDevice(path: path).endsAreZero() } == .failed)
            #expect(await code { _ = try Filesystem.probe(BlockDevice(path: path)) } == .failed)
        }
    }

    @Test func `erasing overwrites everything and reports each chunk`() async throws {
        let size = 3 * mib + 512
        try await LoopDevice.with(size: size) { path in
            try write([UInt8](repeating: 0xa5, count: Int(size)), to: path)
            let reports = try await blocking(on: .long) {
                var reports: [UInt64] = []
                let complete = try BlockDevice(path: path).erase(chunk: mib) {
                    reports.append($0)
                    return true
                }
                return complete ? reports : []
            }
            #expect(reports == [mib, 2 * mib, 3 * mib, size])
            #expect(try read(Int(size), from: path).allSatisfy { $0 == 0 })
        }
    }

    @Test func `a stopped erasure goes on where it was`() async throws {
        try await LoopDevice.with(size: 4 * mib) { path in
            let device = BlockDevice(path: path)
            try write([UInt8](repeating: 0xa5, count: Int(4 * mib)), to: path)
            var reached: UInt64 = 0
            let complete = try device.erase(chunk: mib) {
                reached = $0
                return $0 < 2 * mib
            }
            #expect(!complete)
            #expect(reached == 2 * mib)
            #expect(try read(1, from: path, at: 2 * mib) == [0xa5])
            #expect(try device.erase(from: reached, chunk: mib) { _ in true })
            #expect(try read(Int(4 * mib), from: path).allSatisfy { $0 == 0 })
            #expect(try device.erase(from: 4 * mib) { _ in false })
            #expect(await code { _ = try device.erase(from: 4 * mib + 1) { _ in true } } == .invalidArgument)
        }
    }

    @Test func `an error of the progress report ends the erasure`() async throws {
        try await LoopDevice.with(size: 2 * mib) { path in
            let device = BlockDevice(path: path)
            _ = #expect(throws: CancellationError.self) {
                try device.erase(chunk: mib) { _ in throw CancellationError() }
            }
        }
    }

    @Test func `a mounted device is busy and keeps its data`() async throws {
        try await LoopDevice.with(size: 16 * mib) { path in
            let device = BlockDevice(path: path)
            try await Filesystem.make(.ext4, on: device)
            try await withDirectory { directory in
                try Mounter.createMountPoint(directory: directory + "/mount")
                try Mounter.mount(device: path, at: directory + "/mount", type: .ext4, options: [], readOnly: false)
                try write([1, 2, 3], to: directory + "/mount/file")
                #expect(await code { try device.checkNotInUse() } == .busy)
                #expect(await code { try device.zeroEnds() } == .busy)
                #expect(await code { _ = try device.erase { _ in true } } == .busy)
                #expect(await code { try await Filesystem.make(.ext4, on: device) } == .busy)
                #expect(try read(3, from: directory + "/mount/file") == [1, 2, 3])
            }
            try device.checkNotInUse()
        }
    }

    @Test func `a read-only device refuses to be written`() async throws {
        try await LoopDevice.with(size: mib) { path in
            let device = BlockDevice(path: path)
            try device.setReadOnly(true)
            #expect(await code { try device.zeroEnds() } == .permissionDenied)
            try device.setReadOnly(false)
            try device.zeroEnds()
        }
    }
}
