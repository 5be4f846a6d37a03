import CSIProto
import DeviceManager
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

@Suite("CreateVolume", .timeLimit(.minutes(5)))
struct CreateVolumeTests {
    @Test("the answer says what was made and where it can be reached")
    func answer() async throws {
        try await withDriver { driver, manager in
            let volume = try await driver.create("pvc-1", size: 5 * mib)
            #expect(volume.capacityBytes == 8 * mib)
            #expect(volume.volumeContext == ["name": "pvc-1", "nsmode": "fsdax", "eraseafter": "true"])
            #expect(volume.accessibleTopology == [.with { $0.segments = ["\(Driver.name)/node": "node-1"] }])
            #expect(!volume.hasContentSource)
            #expect(await manager.ids.map(\.rawValue) == [volume.volumeID])
        }
    }

    @Test(
        "sizes that make no sense are refused",
        arguments: [(-1, 0), (0, -1), (-1, -1), (.min, .min), (8 * mib, 7 * mib), (2, 1)] as [(Int64, Int64)])
    func wrongSizes(required: Int64, limit: Int64) async throws {
        try await withDriver { driver, _ in
            await expect(.invalidArgument, "\(required)", "\(limit)") {
                try await driver.create(.volume("a", size: required, limit: limit))
            }
        }
    }

    @Test(
        "a range without a multiple of 4 MiB can never be met",
        arguments: [
            (0, 1), (0, 4 * mib - 1), (5 * mib, 7 * mib), (4 * mib + 1, 8 * mib - 1), (.max, 0), (.max, .max),
        ] as [(Int64, Int64)])
    func impossibleSizes(required: Int64, limit: Int64) async throws {
        try await withDriver { driver, manager in
            // A size near the largest number rounds up to one that no machine has, which is less certain.
            let code: RPCError.Code = required == .max && limit == 0 ? .resourceExhausted : .outOfRange
            await expect(code) { try await driver.create(.volume("a", size: required, limit: limit)) }
            #expect(await manager.ids.isEmpty)
            #expect(driver.records.all.isEmpty)
        }
    }

    @Test(
        "the smallest size in the range is made",
        arguments: [
            (0, 0, 4), (1, 0, 4), (4 * mib, 4 * mib, 4), (4 * mib + 1, 8 * mib, 8), (5 * mib, 100 * mib, 8),
        ] as [(Int64, Int64, Int64)])
    func sizes(required: Int64, limit: Int64, expected: Int64) async throws {
        try await withDriver { driver, _ in
            let volume = try await driver.create(.volume("a", size: required, limit: limit))
            #expect(volume.capacityBytes == expected * mib)
        }
    }

    @Test("without a size the smallest volume is made")
    func noSize() async throws {
        try await withDriver { driver, _ async throws in
            #expect(try await driver.create(.volume("a").with { $0.clearCapacityRange() }).capacityBytes == 4 * mib)
        }
    }

    @Test("a full group is RESOURCE_EXHAUSTED, leaves nothing, and a smaller volume still goes in")
    func full() async throws {
        try await withDriver(size: 16 << 20) { driver, manager in
            await expect(.resourceExhausted) { try await driver.create("a", size: 20 * mib) }
            #expect(driver.records.all.isEmpty)
            #expect(await manager.ids.isEmpty)
            try await driver.create("a", size: 16 * mib)
            await expect(.resourceExhausted) { try await driver.create("b", size: 1) }
        }
    }

    @Test(
        "every capability is checked, not the first alone",
        arguments: [
            (.mount("btrfs"), "btrfs"), (.mount("ext3"), "ext3"),
            (.mount("ext4", .multiNodeMultiWriter), "SINGLE_NODE_WRITER"),
            (.mount("ext4", .multiNodeReaderOnly), "SINGLE_NODE_WRITER"),
            (.mount("ext4", .multiNodeSingleWriter), "SINGLE_NODE_WRITER"),
            (.mount("ext4", .UNRECOGNIZED(99)), "SINGLE_NODE_WRITER"),
            (.mount("ext4", .unknown), "access_mode"), (.init(), "neither mount nor block"),
        ] as [(Csi_V1_VolumeCapability, String)])
    func capabilities(bad: Csi_V1_VolumeCapability, word: String) async throws {
        try await withDriver { driver, manager in
            let good: [Csi_V1_VolumeCapability] = [.mount(), .mount("ext4", .singleNodeMultiWriter)]
            for (index, list) in [[bad] + good, good + [bad]].enumerated() {
                await expect(.invalidArgument, word, "volume_capabilities[\(index == 0 ? 0 : 2)]") {
                    try await driver.create(.volume("a").with { $0.volumeCapabilities = list })
                }
            }
            #expect(await manager.passed[.create] == nil)
        }
    }

    @Test(
        "the modes of one node are taken",
        arguments: [.singleNodeWriter, .singleNodeReaderOnly, .singleNodeSingleWriter, .singleNodeMultiWriter]
            as [Csi_V1_VolumeCapability.AccessMode.Mode])
    func modes(mode: Csi_V1_VolumeCapability.AccessMode.Mode) async throws {
        try await withDriver { driver, _ in
            try await driver.create(.volume("a").with { $0.volumeCapabilities = [.mount("", mode)] })
        }
    }

    @Test(
        "unknown parameters are refused by name, those of Kubernetes are not",
        arguments: [
            ("size", "1", false), ("NSMODE", "fsdax", false), ("csi.storage.k8s.io", "x", false), ("", "", false),
            ("nsmode", "devdax", false), ("eraseafter", "maybe", false), ("csi.storage.k8s.io/pvc/name", "x", true),
            ("storage.kubernetes.io/x", "x", true), ("eraseAfter", "F", true), ("eraseafter", "1", true),
            ("nsmode", "sector", true), ("provisioning", "thick", true), ("provisioning", "thinner", false),
        ])
    func parameters(key: String, value: String, isGood: Bool) async throws {
        try await withDriver { driver, _ in
            for isMutable in [false, true] {
                // Of these no volume can change during its life.
                let isGood = isGood && !(isMutable && ["nsmode", "provisioning"].contains(key))
                let request = Csi_V1_CreateVolumeRequest.volume("\(isMutable)").with {
                    if isMutable { $0.mutableParameters = [key: value] } else { $0.parameters = [key: value] }
                }
                if isGood {
                    try await driver.create(request)
                } else {
                    await expect(.invalidArgument, key) { try await driver.create(request) }
                }
            }
        }
    }

    @Test("mutable parameters win over parameters, in either spelling", arguments: ["eraseafter", "eraseAfter"])
    func mutableParameters(key: String) async throws {
        try await withDriver { driver, _ in
            // Dictionaries are ordered by chance, so one try proves little.
            for attempt in 0..<8 {
                let volume = try await driver.create(
                    .volume("a\(attempt)", size: mib).with {
                        $0.parameters = ["eraseafter": "true", "nsmode": "sector"]
                        $0.mutableParameters = [key: "false"]
                    })
                #expect(volume.volumeContext["eraseafter"] == "false")
                #expect(volume.volumeContext["nsmode"] == "sector")
            }
        }
    }

    @Test("two spellings that contradict each other are refused")
    func contradiction() async throws {
        try await withDriver { driver, _ in
            await expect(.invalidArgument, "eraseafter", "eraseAfter") {
                try await driver.create(
                    .volume("a").with { $0.parameters = ["eraseafter": "true", "eraseAfter": "false"] })
            }
        }
    }

    @Test(
        "a volume is made only where the topology allows",
        arguments: [
            ([], true), ([["\(Driver.name)/node": "node-1"]], true), ([["PMEM-CSI.example.com/Node": "node-1"]], true),
            ([["\(Driver.name)/node": "node-2"], ["\(Driver.name)/node": "node-1"]], true),
            ([["\(Driver.name)/node": "node-2"]], false), ([["other/node": "node-1"]], false), ([[:]], false),
            ([["\(Driver.name)/node": "NODE-1"]], false),
        ])
    func topology(requisite: [[String: String]], isGood: Bool) async throws {
        try await withDriver { driver, manager in
            let request = Csi_V1_CreateVolumeRequest.volume("a").with {
                $0.accessibilityRequirements.requisite = requisite.map { segments in .with { $0.segments = segments } }
            }
            if isGood {
                try await driver.create(request)
            } else {
                await expect(.resourceExhausted, "accessibility_requirements") { try await driver.create(request) }
                #expect(await manager.ids.isEmpty)
            }
        }
    }
}

@Suite("CreateVolume again", .timeLimit(.minutes(5)))
struct RepeatedCreateTests {
    @Test(
        "a request that the volume meets gets the same answer",
        arguments: [
            .volume("a"), .volume("a", size: 0), .volume("a", size: 1, limit: 8 * mib), .volume("a", size: 7 * mib),
            .volume("a").with { $0.parameters = ["eraseafter": "true"] },
            .volume("a").with { $0.parameters = ["nsmode": "fsdax", "csi.storage.k8s.io/pv/name": "x"] },
            .volume("a").with { $0.volumeCapabilities = [.mount("")] },
            .volume("a").with { $0.volumeCapabilities = [.mount(), .mount()] },
            .volume("a").with { $0.volumeCapabilities = [.mount(flags: ["noatime"])] },
            .volume("a").with { $0.secrets = ["a": "b"] },
        ] as [Csi_V1_CreateVolumeRequest])
    func compatible(request: Csi_V1_CreateVolumeRequest) async throws {
        try await withDriver { driver, manager in
            let first = try await driver.create("a")
            #expect(try await driver.create(request) == first)
            #expect(await manager.passed[.create] == 1)
        }
    }

    @Test(
        "a request that the volume does not meet is refused, and the volume unharmed",
        arguments: [
            (.volume("a", size: 8 * mib + 1), "capacity_range"),
            (.volume("a", size: 0, limit: 7 * mib), "capacity_range"),
            (.volume("a").with { $0.parameters = ["nsmode": "sector"] }, "parameters"),
            (.volume("a").with { $0.parameters = ["eraseafter": "false"] }, "parameters"),
            (.volume("a").with { $0.mutableParameters = ["eraseafter": "false"] }, "parameters"),
            (
                .volume("a").with { $0.volumeCapabilities = [.mount("ext4", .singleNodeMultiWriter)] },
                "volume_capabilities"
            ),
            (.volume("a").with { $0.volumeCapabilities = [.block()] }, "volume_capabilities"),
            (.volume("a").with { $0.volumeCapabilities = [.mount("xfs")] }, "volume_capabilities"),
            (
                .volume("a").with { $0.volumeCapabilities += [.mount("ext4", .singleNodeReaderOnly)] },
                "volume_capabilities"
            ),
            (
                .volume("a").with {
                    $0.accessibilityRequirements.requisite = [.with { $0.segments = ["\(Driver.name)/node": "node-2"] }]
                }, "accessibility_requirements"
            ),
        ] as [(Csi_V1_CreateVolumeRequest, String)])
    func different(request: Csi_V1_CreateVolumeRequest, word: String) async throws {
        try await withDriver { driver, _ in
            let first = try await driver.create("a")
            await expect(.alreadyExists, word, first.volumeID) { try await driver.create(request) }
            #expect(try await driver.create("a") == first)
        }
    }

    @Test("the answer is the same after a restart, and while the volume is published")
    func restart() async throws {
        let manager = InMemoryDeviceManager()
        try await withDirectory { directory in
            let first = try await withDriver(manager, in: directory) { driver in
                let volume = try await driver.create("a")
                try await driver.publish(volume.volumeID)
                return volume
            }
            try await withDriver(manager, in: directory) { driver async throws in
                #expect(try await driver.create("a") == first)
                #expect(try await driver.list().entries.first?.status.publishedNodeIds == ["node-1"])
            }
        }
    }
}
