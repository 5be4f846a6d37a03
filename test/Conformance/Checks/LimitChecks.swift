import CSIProto
import GRPCCore
import SwiftProtobuf

/// The specification's size limits, from both sides: what is just allowed works, one byte more is refused.
enum LimitChecks {
    static let topic = Topic(
        "Field limits",
        [
            Check("a name of 128 bytes") { driver in
                let name = driver.name() + String(repeating: "n", count: 128)
                let request = driver.creation()
                let long = try await driver.create(request.changing { $0.name = String(name.prefix(128)) })
                let other = try await driver.create(request.changing { $0.name = String(name.prefix(127)) + "m" })
                try require(long.id != other.id, "names that differ in byte 128 are one volume")
                try await driver.expect(
                    .invalidArgument, of: request.changing { $0.name = String(name.prefix(129)) }, "129 bytes")
                return "128 allowed, 129 refused"
            },
            Check("strings of 129 bytes") { driver in
                let volume = try await driver.volume()
                let long = String(repeating: "x", count: 129)
                let rows: [(String, any Call)] = [
                    ("name", driver.creation().changing { $0.name = long }),
                    ("fs_type", driver.creation().changing { $0.volumeCapabilities = [.mount(long)] }),
                    ("snapshot name", volume.snapshot(long)),
                ]
                let offered = rows.filter { RefusalChecks.isOffered($0.1, driver) }
                try await forEach(offered) { try await driver.expect([.invalidArgument], of: $0, "") }
                return "\(offered.count) fields"
            },
            Check("secrets of 4096 bytes in all") { driver in
                let volume = try await driver.volume()
                for (bytes, wanted) in [(4096, Outcome.ok), (4097, .invalidArgument)] {
                    let secrets = map(of: bytes)
                    let rows: [(String, any Call)] = [
                        ("", driver.creation().changing { $0.secrets = secrets }),
                        ("", volume.validation.changing { $0.secrets = secrets }),
                        ("", volume.attachment.changing { $0.secrets = secrets }),
                        ("", volume.detachment.changing { $0.secrets = secrets }),
                    ]
                    let offered = rows.filter { RefusalChecks.isOffered($0.1, driver) }
                    try await forEach(offered) {
                        try await driver.expect([wanted], of: $0, "with secrets of \(bytes) bytes")
                    }
                }
                return "4096 allowed, 4097 refused"
            },
            Check("maps of more than 4096 bytes") { driver in
                let volume = try await driver.volume()
                try volume.makeDirectories()
                let map = map(of: 4097)
                let rows: [(String, any Call)] = [
                    ("parameters", driver.creation().changing { $0.parameters = map }),
                    ("mutable_parameters", driver.creation().changing { $0.mutableParameters = map }),
                    ("volume_context", volume.stage.changing { $0.volumeContext = map }),
                    ("publish_context", volume.stage.changing { $0.publishContext = map }),
                    ("volume_context", volume.publish.changing { $0.volumeContext = map }),
                    ("publish_context", volume.publish.changing { $0.publishContext = map }),
                    ("volume_context", volume.attachment.changing { $0.volumeContext = map }),
                    ("volume_context", volume.validation.changing { $0.volumeContext = map }),
                    ("snapshot parameters", volume.snapshot("x").changing { $0.parameters = map }),
                ]
                let offered = rows.filter { RefusalChecks.isOffered($0.1, driver) }
                try await forEach(offered) { try await driver.expect([.invalidArgument], of: $0, "") }
                return "\(offered.count) maps"
            },
            Check("mount_flags of more than 4096 bytes") { driver in
                let volume = try await driver.volume()
                try volume.makeDirectories()
                let capability = Capability.mount(
                    driver.capability.mount.fsType, flags: (0..<17).map { _ in String(repeating: "f", count: 241) })
                let rows: [(String, any Call)] = [
                    ("", driver.creation("flags", capability)),
                    ("", volume.stage.changing { $0.volumeCapability = capability }),
                    ("", volume.publish.changing { $0.volumeCapability = capability }),
                ]
                let offered = rows.filter { RefusalChecks.isOffered($0.1, driver) }
                try await forEach(offered) {
                    try await driver.expect([.invalidArgument], of: $0, "")
                }
                return "\(rows.count) calls"
            },
            Check("an answer keeps to the limits where the request is just within") { driver in
                let key = "csi.storage.k8s.io/pvc/name"
                let request = driver.creation().changing { request in
                    request.name = String((request.name + String(repeating: "n", count: 128)).prefix(128))
                    let used = Rules.bytes(request.parameters) + key.utf8.count
                    request.parameters[key] = String(repeating: "v", count: 4096 - used)
                }
                return try await name(driver.expect(.ok, .invalidArgument, of: request))
            },
            Check("paths are longer than 128 bytes") { driver in
                let volume = try await driver.volume()
                try await volume.attachIt()
                let deep =
                    "\(volume.directory)/"
                    + (0..<4).map { _ in String(repeating: "d", count: 200) }.joined(separator: "/")
                try Disk.makeDirectory("\(deep)/staging")
                let staging = driver.offers(.stage) ? "\(deep)/staging" : ""
                if driver.offers(.stage) {
                    try await driver.send(volume.stage.changing { $0.stagingTargetPath = staging })
                }
                let publish = volume.publish.changing {
                    ($0.stagingTargetPath, $0.targetPath) = (staging, "\(deep)/target")
                }
                try await driver.send(publish)
                try require(try Disk.mount(at: "\(deep)/target") != nil, "nothing is mounted at the long path")
                try await driver.send(volume.unpublish.changing { $0.targetPath = "\(deep)/target" })
                return "\(publish.targetPath.utf8.count) bytes"
            },
        ])

    /// Keys and values together.
    private static func map(of bytes: Int) -> [String: String] {
        var map: [String: String] = [:]
        for index in 0..<4 { map["key-\(index)"] = String(repeating: "v", count: 1000) }
        map["rest"] = String(repeating: "v", count: bytes - Rules.bytes(map) - 4)
        return map
    }
}
