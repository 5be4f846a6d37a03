import DeviceManager
import Logging
import TestSupport
import Testing

@Suite struct MixedDeviceManagerTests {
    private static let id = VolumeID(name: "a", node: "n")
    private static let spec = VolumeSpec(
        id: id, name: "a", size: SizeRange(required: 4 << 20), parameters: VolumeParameters())

    private func mixed(
        _ own: InMemoryDeviceManager, _ other: InMemoryDeviceManager, _ log: LogRecorder = LogRecorder()
    ) -> MixedDeviceManager {
        MixedDeviceManager(.direct, own, others: [.file: other], logger: log.logger(.info))
    }

    @Test(
        "each manager's places are told apart, and no others are known",
        arguments: [
            ("ndbus0region0fsdax", .lvm), ("ndbus12region3sector", .lvm), ("region0", .direct), ("region17", .direct),
            ("region0/1f9d2c44a60b1122", .direct), ("region0/", nil), ("region0/../x", nil),
            ("thick", .file), ("thin", .file), ("", nil), ("region", nil), ("region0x", nil), ("ndbus0region0", nil),
            ("/dev/pmem0", nil), ("Thick", nil),
        ] as [(String, ManagerKind?)])
    func kinds(location: String, expected: ManagerKind?) {
        #expect(ManagerKind(location: location) == expected)
    }

    @Test("another manager's volume is found, and deleted through it, but not attached")
    func other() async throws {
        let (own, other) = (InMemoryDeviceManager(location: "region0"), InMemoryDeviceManager(location: "thick"))
        _ = try await other.create(Self.spec, at: "thick")
        let manager = mixed(own, other)
        try await manager.start()
        #expect(try await manager.volume(Self.id, location: "thick")?.location == "thick")
        #expect(try await manager.volume(Self.id, location: nil)?.location == "thick")
        #expect(try await manager.volume(Self.id, location: "region0") == nil)
        await #expect(throws: DeviceError.self) { _ = try await manager.attach(Self.id, location: "thick") }
        #expect(throws: DeviceError.self) { try manager.checkOwn(Self.id.rawValue, location: "thick") }
        #expect(throws: Never.self) { try manager.checkOwn(Self.id.rawValue, location: "region0") }
        try await manager.delete(Self.id, location: "thick", erasure: nil)
        #expect(try await other.volume(Self.id, location: "thick") == nil)
    }

    @Test("what is new is this driver's own")
    func own() async throws {
        let (own, other) = (InMemoryDeviceManager(location: "region0"), InMemoryDeviceManager(location: "thick"))
        let manager = mixed(own, other)
        try await manager.start()
        let location = try await manager.place(Self.spec)
        _ = try await manager.create(Self.spec, at: location)
        #expect(location == "region0")
        #expect(try await manager.volumes().map(\.id) == [Self.id])
        #expect(try await other.volumes().isEmpty)
    }

    @Test("a place of no manager is nobody's to touch", arguments: ["", "ndbus0", "/dev/pmem0"])
    func nobody(location: String) async throws {
        let manager = mixed(InMemoryDeviceManager(), InMemoryDeviceManager())
        try await manager.start()
        let error = await #expect(throws: DeviceError.self) {
            try await manager.delete(Self.id, location: location, erasure: nil)
        }
        #expect(error?.code == .failedPrecondition)
    }

    @Test("trouble with another manager does not keep this one down, and ends with the next call")
    func trouble() async throws {
        let (own, other) = (InMemoryDeviceManager(location: "region0"), InMemoryDeviceManager(location: "thick"))
        _ = try await other.create(Self.spec, at: "thick")
        await other.fail(at: .start, DeviceError(.unavailable, "away"), DeviceError(.unavailable, "still away"))
        let manager = mixed(own, other)
        try await manager.start()
        await #expect(throws: DeviceError.self) { _ = try await manager.volume(Self.id, location: "thick") }
        #expect(try await manager.volume(Self.id, location: "thick") != nil)
    }
}
