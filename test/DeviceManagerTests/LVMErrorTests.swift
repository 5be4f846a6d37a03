import Testing

@testable import LVM

/// Texts as lvm 2.03.16 printed them in a guest with device-mapper.
@Suite struct LVMErrorTests {
    private static let texts: [(Int32, String, LVMError.Code)] = [
        (5, "  Volume group \"g0\" has insufficient free space (199 extents): 1600 required.\n", .notEnoughSpace),
        (5, "  Logical Volume \"d\" already exists in volume group \"g0\"\n", .alreadyExists),
        (5, "  A volume group called g0 already exists.\n", .alreadyExists),
        (5, "  Failed to find logical volume \"g0/a\"\n", .notFound),
        (5, "  Volume group \"nd1\" not found\n  Cannot process volume group nd1\n", .notFound),
        (5, "  Logical volume g0/a-b in use.\n", .inUse),
        (5, "  Logical volume g0/a-b contains a filesystem in use.\n", .inUse),
        (5, "  Physical volume '/dev/pmem0' is already in volume group 'g0'\n", .inUse),
        (
            5,
            "WARNING: ext4 signature detected on /dev/pmem0 at offset 1080. Wipe it? [y/n]: [n]\n"
                + "  Aborted wiping of ext4.\n  1 existing signature left on the device.\n", .foreignSignature
        ),
        (3, "  Logical volume name \"-x\" is invalid.\n", .invalidArgument),
        (
            3,
            "  /dev/mapper/control: open failed: No such device\n"
                + "  Failure to communicate with kernel device-mapper driver.\n", .unavailable
        ),
        (5, "  Something that no version said before.\n", .failed),
        (5, "", .failed),
    ]

    @Test(arguments: texts)
    func `lvm's text decides the code`(status: Int32, stderr: String, code: LVMError.Code) {
        let error = LVMError.ended(command: "lvcreate", status: status, stderr: stderr)
        #expect(error.code == code)
        #expect(error.exitStatus == status)
        #expect(!error.message.isEmpty)
    }

    @Test func `warnings that every run prints are no reason`() {
        let error = LVMError.ended(
            command: "lvcreate", status: 5,
            stderr: "  WARNING: This metadata update is NOT backed up.\n  Aborting. Failed to activate g0/a.\n")
        #expect(error.message == "Aborting. Failed to activate g0/a.")
    }

    @Test(arguments: [
        ("g0", "a", "/dev/mapper/g0-a"),
        ("ndbus0region0fsdax", "pvc-1-2", "/dev/mapper/ndbus0region0fsdax-pvc--1--2"),
        ("a-b", "-c-", "/dev/mapper/a--b---c--"),
    ])
    func `dashes in names are doubled in the device's name`(group: String, volume: String, path: String) {
        #expect(DeviceMapper.path(group: group, volume: volume) == path)
    }

    @Test(arguments: [("", "a"), ("g", ""), ("g", "a/b"), ("g", String(repeating: "x", count: 130))])
    func `a name that no volume can have is refused`(group: String, volume: String) {
        let error = #expect(throws: DeviceMapperError.self) {
            try DeviceMapper.status(group: group, volume: volume)
        }
        #expect(error?.code == .invalidName)
    }
}
