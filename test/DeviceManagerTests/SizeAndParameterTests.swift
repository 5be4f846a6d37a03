import Host
import Logging
import TestSupport
import Testing

@testable import DeviceManager

@Suite struct SizeRangeTests {
    @Test(
        "the smallest multiple in the range is taken",
        arguments: [
            (0, nil, 4), (1, nil, 4), (4, nil, 4), (5, nil, 8), (5, 8, 8), (5, 7, nil), (0, 3, nil), (0, 0, nil),
            (4, 4, 4), (.max, nil, nil), (.max - 3, nil, .max - 3), (.max - 2, nil, nil), (.max - 3, .max - 4, nil),
        ] as [(UInt64, UInt64?, UInt64?)])
    func rounding(required: UInt64, limit: UInt64?, expected: UInt64?) throws {
        let range = SizeRange(required: required, limit: limit)
        if let expected {
            let size = try range.size(multipleOf: 4)
            #expect(size == expected)
            #expect(range.contains(size))
        } else {
            let error = #expect(throws: DeviceError.self) { _ = try range.size(multipleOf: 4) }
            #expect(error?.code == .outOfRange)
            #expect(error?.message.contains("\(required)") == true)
        }
    }

    @Test(
        "both ends belong to the range",
        arguments: [(1, false), (2, true), (3, true), (4, true), (5, false)] as [(UInt64, Bool)])
    func ends(size: UInt64, isIn: Bool) {
        #expect(SizeRange(required: 2, limit: 4).contains(size) == isIn)
        #expect(SizeRange(required: 2).contains(size) == (size >= 2))
    }
}

@Suite struct VolumeParametersTests {
    @Test("defaults are fsdax, and erasing")
    func defaults() throws {
        #expect(try VolumeParameters([:]) == VolumeParameters())
        #expect(VolumeParameters().context == ["nsmode": "fsdax", "eraseafter": "true"])
    }

    @Test(
        "values are Go's spellings",
        arguments: [
            ("1", true), ("t", true), ("T", true), ("true", true), ("TRUE", true), ("True", true), ("0", false),
            ("f", false), ("F", false), ("false", false), ("FALSE", false), ("False", false), ("yes", nil), ("", nil),
            ("tRUE", nil), ("2", nil),
        ] as [(String, Bool?)])
    func booleans(text: String, expected: Bool?) throws {
        for key in ["eraseafter", "eraseAfter"] {
            if let expected {
                #expect(try VolumeParameters([key: text]).eraseAfter == expected)
            } else {
                let error = #expect(throws: DeviceError.self) { _ = try VolumeParameters([key: text]) }
                #expect(error?.code == .invalidArgument)
                #expect(error?.message.contains(key) == true)
            }
        }
    }

    @Test("the second map wins, whatever the spelling")
    func mutable() throws {
        for key in ["eraseafter", "eraseAfter"] {
            let parameters = try VolumeParameters(["eraseafter": "true", "nsmode": "sector"], mutable: [key: "false"])
            #expect(!parameters.eraseAfter && parameters.mode == .sector)
        }
        #expect(throws: DeviceError.self) {
            _ = try VolumeParameters(["eraseafter": "true", "eraseAfter": "false"])
        }
        #expect(try VolumeParameters(["eraseafter": "false", "eraseAfter": "false"]).eraseAfter == false)
    }

    @Test("applying leaves alone what is not named")
    func apply() throws {
        var parameters = try VolumeParameters(["nsmode": "sector", "eraseafter": "false"])
        try parameters.apply(["csi.storage.k8s.io/pvc/name": "x", "storage.kubernetes.io/y": "z"])
        #expect(parameters.context == ["nsmode": "sector", "eraseafter": "false"])
    }

    @Test("a context is read back as the same parameters", arguments: NamespaceMode.allCases)
    func context(mode: NamespaceMode) throws {
        var parameters = VolumeParameters()
        parameters.mode = mode
        #expect(try VolumeParameters(parameters.context) == parameters)
    }
}

@Suite struct NamespaceParametersTests {
    private static let defaults = DirectDeviceManager(logger: LogRecorder().logger(.info)).defaultParameters

    @Test("a context is read back as the same parameters")
    func context() throws {
        for map in [["pageMap": "mem"], ["numaNode": "1", "region": "region12"], [:]] {
            let parameters = try VolumeParameters(map, defaults: Self.defaults)
            #expect(try VolumeParameters(parameters.context, defaults: Self.defaults) == parameters)
            for (key, value) in map { #expect(parameters.context[key] == value) }
        }
    }

    @Test(
        "what a namespace cannot be is refused, with the word",
        arguments: [
            ["pageMap": "ram"], ["numaNode": "-1"], ["numaNode": "one"], ["region": "region"], ["region": "../region0"],
            ["provisioning": "thin"], ["nsmode": "devdax"], ["nsmode": "sector", "pageMap": "mem"], ["colour": "red"],
        ])
    func refusal(map: [String: String]) {
        let error = #expect(throws: DeviceError.self) { _ = try VolumeParameters(map, defaults: Self.defaults) }
        #expect(error?.code == .invalidArgument)
        #expect(map.keys.contains { error?.message.contains($0) == true })
    }

    @Test("other managers know none of these keys", arguments: ["pageMap", "numaNode", "region"])
    func others(key: String) {
        let error = #expect(throws: DeviceError.self) { _ = try VolumeParameters([key: "0"]) }
        #expect(error?.message.contains(key) == true && error?.message.contains("direct") == true)
    }

    /// Privileged containers have `rw` on a file system that is read-only itself.
    @Test("/sys must be writable, the mount and the file system", arguments: ["rw", "ro"], ["rw", "ro"])
    func sysfs(mount: String, filesystem: String) {
        let table = MountTable(parsing: "22 1 0:20 / /sys \(mount),nosuid shared:7 - sysfs sysfs \(filesystem)\n")
        if [mount, filesystem] == ["rw", "rw"] {
            #expect(throws: Never.self) { try Sysfs.checkWritable(table) }
        } else {
            let error = #expect(throws: DeviceError.self) { try Sysfs.checkWritable(table) }
            #expect(error?.code == .failedPrecondition && error?.message.contains("hostPath") == true)
        }
    }
}
