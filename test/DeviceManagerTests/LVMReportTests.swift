import LVM
import Testing

@Suite struct LVMReportTests {
    private static let group = """
        {"vg_name":"g0", "vg_uuid":"iOVc2h-5RaG", "vg_tags":"fsdax,zz", "vg_size":"1052770304", "vg_free":"989855744",
         "vg_extent_size":"4194304", "vg_seqno":"8"}
        """
    private static let device = """
        {"pv_name":"/dev/pmem0", "pv_uuid":"hnx675-VfPe", "pv_size":"1052770304", "pv_free":"989855744",
         "pe_start":"18874368", "pv_mda_size":"18870272", "pv_mda_free":"9432576", "pv_missing":""}
        """
    private static let volume = """
        {"lv_name":"d", "lv_uuid":"7yWW4v", "lv_size":"62914560", "lv_tags":"", "lv_active":"active",
         "lv_layout":"linear", "pool_lv":"", "origin":""}
        """
    private static let thinVolumes = """
        {"lv_name":"p", "lv_uuid":"u", "lv_size":"8", "lv_tags":"", "lv_active":"active", "lv_layout":"thin,pool",
         "pool_lv":"", "origin":""},
        {"lv_name":"t", "lv_uuid":"v", "lv_size":"4", "lv_tags":"a,b", "lv_active":"", "lv_layout":"thin,sparse",
         "pool_lv":"p", "origin":"o"}
        """

    private static func report(group: String = group, volumes: String = volume) -> String {
        """
        {"report": [
            {"vg": [\(group)], "pv": [\(device)], "lv": [\(volumes)], "pvseg": [{"pvseg_start":"0"}]},
            {"pv": [\(device)], "pvseg": [{"pvseg_start":"0"}]}
        ]}
        """
    }

    @Test func `groups come with their devices and volumes`() throws {
        let report = try LVM.Report(json: Self.report())
        let device = PhysicalVolume(
            device: "/dev/pmem0", id: "hnx675-VfPe", size: 1_052_770_304, free: 989_855_744, dataStart: 18_874_368,
            metadataSize: 18_870_272, metadataFree: 9_432_576)
        let volume = LogicalVolume(name: "d", id: "7yWW4v", size: 62_914_560)
        #expect(
            report.groups == [
                VolumeGroup(
                    name: "g0", id: "iOVc2h-5RaG", tags: ["fsdax", "zz"], size: 1_052_770_304, free: 989_855_744,
                    extentSize: 4_194_304, sequenceNumber: 8, physicalVolumes: [device], logicalVolumes: [volume])
            ])
        #expect(report.unusedPhysicalVolumes == [device])
    }

    @Test func `a thin pool is told from the volumes in it`() throws {
        let report = try LVM.Report(json: Self.report(volumes: Self.thinVolumes))
        #expect(
            report.groups.first?.logicalVolumes == [
                LogicalVolume(name: "p", id: "u", size: 8, isPool: true),
                LogicalVolume(name: "t", id: "v", size: 4, tags: ["a", "b"], isActive: false, pool: "p", origin: "o"),
            ])
    }

    @Test func `a machine without groups has none`() throws {
        #expect(try LVM.Report(json: "  {\n      \"report\": [\n      ]\n  }\n").groups == [])
    }

    @Test(arguments: [
        ("", ""), ("null", ""), ("{\"report\": 1}", ""),
        (report(group: "{\"vg_name\":\"g0\"}"), "vg_uuid"),
        (report(group: group.replacing("989855744", with: "<1.00g")), "vg_free"),
    ])
    func `what is no report is refused with the field's name`(json: String, field: String) {
        let error = #expect(throws: LVMError.self) { try LVM.Report(json: json) }
        #expect(error?.code == .malformed)
        #expect(field.isEmpty || error?.message.contains(field) == true)
    }
}
