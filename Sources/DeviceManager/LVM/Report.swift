import FoundationEssentials

extension LVM {
    /// All that lvm knows, from one run.
    package struct Report: Sendable, Equatable {
        package let groups: [VolumeGroup]
        /// Physical volumes that belong to no group.
        package let unusedPhysicalVolumes: [PhysicalVolume]

        package init(groups: [VolumeGroup], unusedPhysicalVolumes: [PhysicalVolume] = []) {
            self.groups = groups
            self.unusedPhysicalVolumes = unusedPhysicalVolumes
        }
    }

    /// Groups with their physical and logical volumes. `fullreport` parses each group's metadata once, where `vgs`,
    /// `pvs` and `lvs` would do it three times; its two segment reports cannot be left out, only narrowed.
    package func report() async throws(LVMError) -> Report {
        let arguments = [
            "fullreport", "--reportformat", "json", "--units", "b", "--nosuffix",
            "--configreport", "vg", "-o", "vg_name,vg_uuid,vg_tags,vg_size,vg_free,vg_extent_size,vg_seqno",
            "--configreport", "pv", "-o",
            "pv_name,pv_uuid,pv_size,pv_free,pe_start,pv_mda_size,pv_mda_free,pv_missing",
            "--configreport", "lv", "-o", "lv_name,lv_uuid,lv_size,lv_tags,lv_active,lv_layout,pool_lv,origin",
            "--configreport", "pvseg", "-o", "pvseg_start",
            "--configreport", "seg", "-o", "seg_start",
        ]
        return try Report(json: try await run(arguments).stdout)
    }

    /// All volume groups, in one run.
    package func groups() async throws(LVMError) -> [VolumeGroup] {
        try await report().groups
    }
}

extension LVM.Report {
    /// What `lvm fullreport --reportformat json --units b --nosuffix` prints: one section per group, and one without a
    /// group for physical volumes that are in none.
    package init(json: String) throws(LVMError) {
        do {
            let document = try JSONDecoder().decode(Document.self, from: Data(json.utf8))
            self.init(
                groups: try document.report.compactMap { try $0.group() },
                unusedPhysicalVolumes: try document.report.filter { $0.vg == nil }.flatMap { try $0.physicalVolumes() })
        } catch let error as LVMError {
            throw error
        } catch {
            throw LVMError(.malformed, "lvm's report is not the JSON that was asked for", cause: error)
        }
    }

    private struct Document: Decodable {
        let report: [Section]
    }

    private struct Section: Decodable {
        let vg: [Row]?
        let pv: [Row]?
        let lv: [Row]?

        func group() throws(LVMError) -> VolumeGroup? {
            guard let row = vg?.first else { return nil }
            return VolumeGroup(
                name: try row.text("vg_name"), id: try row.text("vg_uuid"), tags: try row.list("vg_tags"),
                size: try row.number("vg_size"), free: try row.number("vg_free"),
                extentSize: try row.number("vg_extent_size"), sequenceNumber: try row.number("vg_seqno"),
                physicalVolumes: try physicalVolumes(), logicalVolumes: try logicalVolumes())
        }

        func physicalVolumes() throws(LVMError) -> [PhysicalVolume] {
            var volumes: [PhysicalVolume] = []
            for row in pv ?? [] {
                volumes.append(
                    PhysicalVolume(
                        device: try row.text("pv_name"), id: try row.text("pv_uuid"),
                        size: try row.number("pv_size"), free: try row.number("pv_free"),
                        dataStart: try row.number("pe_start"), metadataSize: try row.number("pv_mda_size"),
                        metadataFree: try row.number("pv_mda_free"), isMissing: try row.optional("pv_missing") != nil))
            }
            return volumes
        }

        private func logicalVolumes() throws(LVMError) -> [LogicalVolume] {
            var volumes: [LogicalVolume] = []
            for row in lv ?? [] {
                volumes.append(
                    LogicalVolume(
                        name: try row.text("lv_name"), id: try row.text("lv_uuid"), size: try row.number("lv_size"),
                        tags: try row.list("lv_tags"), isActive: try row.text("lv_active") == "active",
                        pool: try row.optional("pool_lv"), origin: try row.optional("origin"),
                        isPool: Set(try row.list("lv_layout")).isSuperset(of: ["thin", "pool"])))
            }
            return volumes
        }
    }

    /// lvm writes every value as a string, an absent one as an empty string.
    private struct Row: Decodable {
        let fields: [String: String]

        init(from decoder: any Decoder) throws {
            fields = try decoder.singleValueContainer().decode([String: String].self)
        }

        func text(_ field: String) throws(LVMError) -> String {
            guard let value = fields[field] else {
                throw LVMError(.malformed, "lvm's report has no field \(field)")
            }
            return value
        }

        func number(_ field: String) throws(LVMError) -> UInt64 {
            let value = try text(field)
            guard let number = UInt64(value) else {
                throw LVMError(.malformed, "\(field) is \"\(value)\" in lvm's report, not a number")
            }
            return number
        }

        func list(_ field: String) throws(LVMError) -> [String] {
            try text(field).split(separator: ",").map(String.init)
        }

        func optional(_ field: String) throws(LVMError) -> String? {
            let value = try text(field)
            return value.isEmpty ? nil : value
        }
    }
}
