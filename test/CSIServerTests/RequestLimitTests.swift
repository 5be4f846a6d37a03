import CSIProto
import GRPCCore
import SwiftProtobuf
import TestSupport
import Testing

private func text(_ count: Int) -> String { String(repeating: "x", count: count) }

/// A map of this many bytes, keys and values together, out of entries that are each within the limits.
private func map(_ bytes: Int, prefix: String = "csi.storage.k8s.io/") -> [String: String] {
    var map: [String: String] = [:]
    var left = bytes
    while left > 0 {
        let key = "\(prefix)\(1000 + map.count)"
        let value = min(100, left - key.utf8.count)
        map[key] = text(value)
        left -= key.utf8.count + value
        // The last entry must have room for its key.
        if left > 0, left < key.utf8.count {
            map[key] = text(value - key.utf8.count)
            left += key.utf8.count
        }
    }
    return map
}

@Suite("Field limits", .timeLimit(.minutes(5)))
struct RequestLimitTests {
    @Test(
        "a name of 128 bytes is taken, one of 129 refused",
        arguments: [
            (text(128), true), (text(129), false), (text(126) + "ü", true), (text(127) + "ü", false), ("", false),
        ])
    func nameLength(name: String, isGood: Bool) async throws {
        try await withDriver { driver, _ async throws in
            if isGood {
                #expect(try await driver.create(name).volumeContext["name"] == name)
            } else {
                await expect(.invalidArgument, "name") { try await driver.create(name) }
            }
        }
    }

    @Test("control characters in a name are refused by their number, other characters are not")
    func controlCharacters() async throws {
        let all = Array(UInt32(0)...0xa0).compactMap(Unicode.Scalar.init)
        try await withDriver { driver, _ in
            for scalar in all {
                let name = "a\(Character(scalar))b"
                let isBad =
                    switch scalar.value {
                    case 0...8, 0xb, 0xc, 0xe...0x1f, 0x7f...0x9f: true
                    default: false
                    }
                guard isBad else {
                    try await driver.create(name, size: mib)
                    continue
                }
                let code = String(scalar.value, radix: 16, uppercase: true)
                await expect(.invalidArgument, "name", "U+\(code)") { try await driver.create(name) }
            }
        }
    }

    @Test("different names get different ids, whatever they are made of")
    func unicodeNames() async throws {
        let names = [
            "é", "e\u{301}", "/", "..", "../etc", "-", "--", "a/b", "a b", "a-b", "a_b", "ab", "AB", "Ab", "日本語", "🐘",
            "🐘🐘",
            "pvmove", "pvmove0", "snapshot", "snapshot0", "x_mlog", "x_tdata", "\n", "\r\n", "\t", "%s", "$(id)",
            "pvc-1", "pvc-2", "{\"a\":1}", "\\", "\u{202e}abc", "\u{fffd}", "\u{10ffff}",
        ]
        try await withDriver { driver, manager in
            var ids: Set<String> = []
            for name in names {
                let id = try await driver.create(name, size: mib).volumeID
                #expect(ids.insert(id).inserted, "\(name.debugDescription) has the id of another name")
                #expect(id.wholeMatch(of: /[A-Za-z0-9]{1,6}-[0-9a-f]{32}-[0-9a-f]{10}/) != nil)
                #expect(!id.hasPrefix("pvmove") && !id.hasPrefix("snapshot"))
            }
            #expect(await manager.ids.count == names.count)
        }
    }

    @Test("a map of 4096 bytes is taken, one of 4097 refused", arguments: [4096, 4097])
    func parameters(bytes: Int) async throws {
        let map = map(bytes)
        try #require(map.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count } == bytes)
        try await withDriver { driver, _ in
            let fields: [(String, WritableKeyPath<Csi_V1_CreateVolumeRequest, [String: String]>)] = [
                ("parameters", \.parameters), ("mutable_parameters", \.mutableParameters), ("secrets", \.secrets),
            ]
            for (field, path) in fields {
                let request = Csi_V1_CreateVolumeRequest.volume(field).with { $0[keyPath: path] = map }
                if bytes <= 4096 {
                    try await driver.create(request)
                } else {
                    await expect(.invalidArgument, field, "4097") { try await driver.create(request) }
                }
            }
        }
    }

    @Test("mount flags of 4096 bytes are taken, of 4097 refused, without a word of them")
    func mountFlags() async throws {
        let flags = Array(repeating: text(128), count: 32)
        try await withDriver { driver, _ in
            try await driver.create(.volume("a").with { $0.volumeCapabilities = [.mount(flags: flags)] })
            await expect(.invalidArgument, "mount_flags", "4097") {
                try await driver.create(.volume("b").with { $0.volumeCapabilities = [.mount(flags: flags + ["y"])] })
            }
        }
    }

    @Test("fields that must be there are named when they are not")
    func missing() async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            await expect(.invalidArgument, "volume_capabilities") {
                try await driver.create(.volume("b").with { $0.volumeCapabilities = [] })
            }
            await expect(.invalidArgument, "volume_capabilities[0]") {
                try await driver.create(.volume("b").with { $0.volumeCapabilities = [.init()] })
            }
            await expect(.invalidArgument, "access_mode") {
                try await driver.create(.volume("b").with { $0.volumeCapabilities[0].clearAccessMode() })
            }
            await expect(.invalidArgument, "volume_id") { try await driver.delete("") }
            await expect(.invalidArgument, "volume_id") { try await driver.publish("") }
            await expect(.invalidArgument, "node_id") { try await driver.publish(id, to: "") }
            await expect(.invalidArgument, "volume_capability") {
                _ = try await driver.controller.controllerPublishVolume(
                    .with {
                        $0.volumeID = id
                        $0.nodeID = "node-1"
                    })
            }
            await expect(.invalidArgument, "volume_id") { try await driver.unpublish("") }
            await expect(.invalidArgument, "volume_id") {
                _ = try await driver.controller.validateVolumeCapabilities(.with { $0.volumeCapabilities = [.mount()] })
            }
            await expect(.invalidArgument, "volume_capabilities") {
                _ = try await driver.controller.validateVolumeCapabilities(.with { $0.volumeID = id })
            }
        }
    }

    @Test("fields that must be there in node calls are named when they are not")
    func missingOnNode() async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            await expect(.invalidArgument, "volume_id") { try await driver.stage("", at: "/x") }
            await expect(.invalidArgument, "staging_target_path") { try await driver.stage(id, at: "") }
            await expect(.invalidArgument, "volume_capability") {
                _ = try await driver.node.nodeStageVolume(
                    .with {
                        $0.volumeID = id
                        $0.stagingTargetPath = "/x"
                    })
            }
            await expect(.invalidArgument, "volume_id") { try await driver.unstage("", at: "/x") }
            await expect(.invalidArgument, "staging_target_path") { try await driver.unstage(id, at: "") }
            await expect(.invalidArgument, "volume_id") { try await driver.publish("", from: "/x", at: "/y") }
            await expect(.invalidArgument, "target_path") { try await driver.publish(id, from: "/x", at: "") }
            await expect(.failedPrecondition, "staging_target_path") {
                try await driver.publish(id, from: "", at: "/y")
            }
            await expect(.invalidArgument, "volume_id") { try await driver.unpublish("", at: "/y") }
            await expect(.invalidArgument, "target_path") { try await driver.unpublish(id, at: "") }
        }
    }

    @Test("ids have 128 bytes at most, node ids 256", arguments: [0, 1])
    func identifiers(tooMany: Int) async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            let (long, node) = (text(128 + tooMany), text(256 + tooMany))
            let isGood = tooMany == 0
            await expect(isGood ? .notFound : .invalidArgument, "volume") { try await driver.publish(long) }
            await expect(isGood ? .notFound : .invalidArgument, "node") { try await driver.publish(id, to: node) }
            if isGood {
                try await driver.delete(long)
                try await driver.unpublish(id, from: node)
            } else {
                await expect(.invalidArgument, "volume_id") { try await driver.delete(long) }
                await expect(.invalidArgument, "node_id") { try await driver.unpublish(id, from: node) }
            }
        }
    }

    @Test("paths may be long, but must be absolute and without ..", arguments: ["x", "./x", "/a/../b", "/..", "/a\0b"])
    func paths(path: String) async throws {
        try await withDriver { driver, _ in
            let id = try await driver.create("a").volumeID
            await expect(.invalidArgument, "staging_target_path") { try await driver.stage(id, at: path) }
            await expect(.invalidArgument, "staging_target_path") { try await driver.unstage(id, at: path) }
            await expect(.invalidArgument, "target_path") { try await driver.publish(id, from: "/x", at: path) }
            await expect(.invalidArgument, "target_path") { try await driver.unpublish(id, at: path) }
            try await driver.unstage(id, at: "/" + Array(repeating: text(200), count: 20).joined(separator: "/"))
            await expect(.invalidArgument, "4096 bytes") { try await driver.unstage(id, at: "/" + text(4095)) }
        }
    }
}
