import DeviceManager
import Testing

@testable import pmem_csi_driver

@Suite("The driver's flags")
struct OptionsTests {
    private static func thin(_ percent: Int?, _ overcommit: Double?) -> ThinOptions {
        var options = ThinOptions()
        options.poolPercent = percent
        options.overcommit = overcommit
        return options
    }

    @Test(
        "those of thin pools are refused where there are none, and only if they are given",
        arguments: [.file, .direct, nil] as [ManagerKind?])
    func noPools(_ kind: ManagerKind?) throws {
        let manager = kind.map { ManagerChoice.local($0) } ?? .spdk
        #expect(try Self.thin(nil, nil).provisioning(manager) == ThinProvisioning())
        for (options, flag) in [(Self.thin(50, nil), "-thinPoolPercent"), (Self.thin(nil, 1), "-thinOvercommit")] {
            let error = #expect(throws: (any Error).self) { _ = try options.provisioning(manager) }
            let text = error.map { "\($0)" } ?? ""
            #expect(text.contains(flag) && text.contains("only -deviceManager=lvm"))
        }
    }

    @Test(
        "those of thin pools have defaults and limits",
        arguments: [
            (nil, nil, ThinProvisioning(poolPercent: 50, overcommit: 1)),
            (100, 2.5, ThinProvisioning(poolPercent: 100, overcommit: 2.5)), (0, nil, nil), (101, nil, nil),
            (nil, 0.5, nil),
        ] as [(Int?, Double?, ThinProvisioning?)])
    func pools(_ percent: Int?, _ overcommit: Double?, _ expected: ThinProvisioning?) {
        #expect((try? Self.thin(percent, overcommit).provisioning(.local(.lvm))) == expected)
    }
}
