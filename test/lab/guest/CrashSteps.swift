import Glibc

/// `kill -9` of the driver, between the calls of a life and during them.
enum CrashSteps {
    static let topic = Topic(
        title: "kill -9 of the driver",
        steps: LifeGap.allCases.map { gap in
            Step("after \(gap.rawValue): the call is repeated, the life goes on", quick: gap.isQuick) { lab in
                try await kill(lab, after: gap)
            }
        }
            + moments(quick: [500], full: [50, 200, 350, 700, 900]) { delay in
                Step("\(delay) ms into CreateVolume: no leak, and one volume") { lab in
                    try await killCreation(lab, after: delay)
                }
            }
            + moments(quick: [600], full: [300, 1000, 1500]) { delay in
                Step("\(delay) ms into DeleteVolume with erasure: nothing is left") { lab in
                    try await killDeletion(lab, after: delay)
                }
            })

    enum LifeGap: String, CaseIterable {
        case create = "CreateVolume", controllerPublish = "ControllerPublishVolume", stage = "NodeStageVolume"
        case publish = "NodePublishVolume", unpublish = "NodeUnpublishVolume", unstage = "NodeUnstageVolume"
        case controllerUnpublish = "ControllerUnpublishVolume", delete = "DeleteVolume"

        var isQuick: Bool { self == .stage }

        func call(_ volume: Volume) async throws {
            switch self {
            case .create:
                let again = try await Volume.create(volume.spec)
                try checkEqual(again.id, volume.id, "volume id")
                try checkEqual(again.bytes, volume.bytes, "capacity_bytes")
            case .controllerPublish: try await volume.controllerPublish()
            case .stage: try await volume.stage()
            case .publish: try await volume.publish()
            case .unpublish: try await volume.unpublish()
            case .unstage: try await volume.unstage()
            case .controllerUnpublish: try await volume.controllerUnpublish()
            case .delete: try await volume.delete()
            }
        }
    }

    /// A whole life with one crash in it; a file written while the volume is published must survive whatever follows.
    static func kill(_ lab: Lab, after gap: LifeGap) async throws -> String {
        let volume = try await Volume.create(VolumeSpec(name: "pvc-crash"))
        var ready: Int64 = 0
        return try await cleaningUp(volume) {
            for call in LifeGap.allCases {
                try await call.call(volume)
                if call == gap {
                    try await lab.driver.crash()
                    ready = try await lab.driver.start()
                    try await call.call(volume)
                }
                if call == .stage { try Kernel.write("kept", to: "\(volume.stagePath)/file") }
                if call == .publish || call == .unpublish {
                    try checkEqual(try Kernel.read("\(volume.stagePath)/file"), "kept", "the file after \(call)")
                }
            }
            try await lab.checkNothingLeaked(expecting: [])
            try check(try Kernel.mounts().allSatisfy { !$0.point.hasPrefix(volume.directory) }, "a mount is left")
            return "ready again after \(ready) ms"
        }
    }

    static func killCreation(
        _ lab: Lab, after delay: Int, _ spec: VolumeSpec = VolumeSpec(name: "pvc-cut-creation")
    ) async throws -> String {
        let cut = try await killed(lab, after: delay) { _ = try await Volume.create(spec) }
        // So early that no machine has ended lvcreate: a kill that always came too late would prove nothing.
        try check(delay > 50 || cut.hasPrefix("cut off"), "not killed in the middle: \(cut)")
        try await settled(lab)
        let left = try await lab.checkNothingLeaked()
        let volume = try await Volume.create(spec)
        return try await cleaningUp(volume) {
            try await lab.checkNothingLeaked(expecting: [volume.id])
            try await volume.up()
            try await volume.down()
            try await volume.delete()
            try await lab.checkNothingLeaked(expecting: [])
            return "\(cut); \(left) volumes after the restart, one after the retry"
        }
    }

    /// A kill that came too late proves nothing: once more, earlier, until one met its call.
    static func killDeletion(
        _ lab: Lab, after delay: Int,
        _ spec: VolumeSpec = VolumeSpec(name: "pvc-cut-deletion", size: 1024 * MiB, erase: true)
    ) async throws -> String {
        let volume = try await Volume.create(spec)
        let cut = try await cleaningUp(volume) {
            let cut = try await killed(lab, after: delay) { try await volume.delete() }
            try await settled(lab)
            try await eventually("DeleteVolume repeated", within: .seconds(60)) {
                do { try await volume.delete() } catch  where text(of: error).hasPrefix("aborted") { return false }
                return true
            }
            try await lab.checkNothingLeaked(expecting: [])
            return cut
        }
        if let earlier = try earlier(than: delay, cut) { return try await killDeletion(lab, after: earlier, spec) }
        return "after \(delay) ms \(cut)"
    }

    /// When to kill instead, where the call had ended already; nil where it was cut off. No machine overwrites or copies
    /// hundreds of MiB, or ends an lvm, within the smallest delay: a call that ended all the same did not do its work.
    static func earlier(than delay: Int, _ cut: String) throws -> Int? {
        guard !cut.hasPrefix("cut off") else { return nil }
        try check(delay > 20, "not killed in the middle, not even after \(delay) ms: \(cut)")
        return delay / 2
    }

    /// Starts the call, kills the driver in the middle of it, and starts it again.
    static func killed(
        _ lab: Lab, after delay: Int, _ call: @escaping @Sendable () async throws -> Void
    ) async throws -> String {
        let running = Task { try await call() }
        try await Task.sleep(for: .milliseconds(delay))
        try await lab.driver.crash()
        let result = await running.result
        let devices = try Kernel.mappedDevices().count
        let phases = try lab.driver.phases().values.sorted().joined(separator: " ")
        try await lab.driver.start()
        let made = lab.driver.manager == "direct" ? "" : "\(devices) logical volumes and "
        let left = "with \(made)records [\(phases)]"
        switch result {
        case .success: return "the call had ended already, \(left)"
        case .failure: return "cut off \(left)"
        }
    }

    /// An lvm that the killed driver had started goes on without it.
    static func settled(_ lab: Lab) async throws {
        try await eventually("the end of every lvm", within: .seconds(30)) {
            try await execute("pgrep", "-x", "lvm").status != 0
        }
    }

    static func moments(quick: [Int], full: [Int], _ step: (Int) -> Step) -> [Step] {
        (quick + full).sorted().map { delay in
            var step = step(delay)
            step.quick = quick.contains(delay)
            return step
        }
    }
}
