import FoundationEssentials
import Logging
import SPDK
import TestSupport
import Testing

struct ConfigurationTests {
    private func thrown(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch {
            return "\(error)"
        }
    }

    private func parse(_ text: String) throws -> SPDKConfiguration {
        try SPDKConfiguration(try JSONDecoder().decode(JSONNode.self, from: Data(text.utf8)))
    }

    @Test func `A file of spdk-csi is understood, whatever the case of its keys`() throws {
        let configuration = try parse(
            #"{"Nodes":[{"name":"localhost","rpcURL":"http://127.0.0.1:9009","targetType":"NVMe-TCP","targetAddr":"127.0.0.1"}]}"#
        )
        let node = try #require(configuration.node("localhost"))
        #expect(node.type == .tcp)
        #expect(node.addresses == [PortalAddress(host: "127.0.0.1", port: 4420)])
        #expect(node.listening == node.addresses)
        #expect(configuration.clusterName.isEmpty)
    }

    @Test func `Addresses, ports, stores and IPv6`() throws {
        let configuration = try parse(
            """
            {"clusterName":"c1","nodes":[{"name":"a","rpcURL":"unix:///var/tmp/spdk.sock","targetType":"iscsi","port":"3261",
             "targetAddr":["10.0.0.1","fd00::1","[fd00::2]:3262"],"listenAddr":"127.0.0.1, ::1","lvstores":["x"],"thinOvercommit":2.5}]}
            """)
        let node = try #require(configuration.nodes.first)
        #expect(node.rpc == .unix("/var/tmp/spdk.sock"))
        #expect(node.addresses.text(port: 3261) == "10.0.0.1,fd00::1,[fd00::2]:3262")
        #expect(node.listening.map(\.host) == ["127.0.0.1", "::1"])
        #expect(node.uses(store: "x") && !node.uses(store: "y"))
        #expect(node.overcommit == 2.5)
    }

    @Test(arguments: [
        (#"{"nodes":[]}"#, "nodes"), (#"{}"#, "nodes"), (#"{"nodes":{}}"#, "nodes"), ("[]", "object"),
        (#"{"nodes":[1]}"#, "nodes[0]"), (#"{"nodes":[{"name":"a:b"}]}"#, "nodes[0].name"),
        (#"{"nodes":[{"name":""}]}"#, "nodes[0].name"), (#"{"nodes":[{"name":"a"}]}"#, "nodes[0].rpcURL"),
        (#"{"nodes":[{"name":"a","rpcURL":"ftp://x","targetType":"iscsi","targetAddr":"::1"}]}"#, "nodes[0].rpcURL"),
        (#"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"fc","targetAddr":"x"}]}"#, "targetType is \"fc\""),
        (#"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"iscsi"}]}"#, "nodes[0].targetAddr"),
        (
            #"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"iscsi","targetAddr":"a b"}]}"#,
            "nodes[0].targetAddr"
        ),
        (
            #"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"nvme-tcp","targetAddr":"storage-1"}]}"#,
            "nodes[0].targetAddr: \"storage-1\" is a name"
        ),
        (
            #"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"iscsi","targetAddr":"x","listenAddr":"::1,x"}]}"#,
            "nodes[0].listenAddr: \"x\" is a name"
        ),
        (
            #"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"iscsi","targetAddr":"::1","port":0}]}"#,
            "nodes[0].port"
        ),
        (
            #"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"iscsi","targetAddr":"::1","thinOvercommit":0}]}"#,
            "thinOvercommit"
        ),
        (
            #"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"iscsi","targetAddr":"::1","colour":1}]}"#,
            "nodes[0].colour"
        ),
        (
            #"{"nodes":[{"name":"a","rpcURL":"http://x","targetType":"iscsi","targetAddr":"::1"}],"more":1}"#,
            "more: unknown key"
        ),
    ])
    func `What is wrong is named`(text: String, words: String) {
        let error = thrown { _ = try parse(text) }
        #expect(error.contains(words), "\(error)")
    }

    @Test func `A node that is there twice is refused`() {
        let one = #"{"name":"a","rpcURL":"http://x","targetType":"iscsi","targetAddr":"::1"}"#
        let error = thrown { _ = try parse("{\"nodes\":[\(one),\(one)]}") }
        #expect(error.contains("nodes[1].name: \"a\" is there twice"), "\(error)")
    }

    @Test func `An error in the secrets names the key and never a value`() throws {
        for text in [
            #"{"rpcTokens":[{"name":"a","username":"u","password":"hunter2","x":"hunter2"}]}"#,
            #"{"rpcTokens":[{"name":"a","username":"u","password":["hunter2"]}]}"#, #"{"rpcTokens":"hunter2"}"#,
        ] {
            let node = try JSONDecoder().decode(JSONNode.self, from: Data(text.utf8))
            let error = thrown { _ = try SPDKSecrets(node) }
            #expect(error.contains("rpcTokens") && !error.contains("hunter2"), "\(error)")
        }
    }

    @Test func `A changed file is in force within 3 seconds, a broken one changes nothing and says so`() async throws {
        let directory = try TemporaryDirectory(), path = "\(directory.path)/config.json"
        let recorder = LogRecorder()
        try write(configuration([1]), to: path)
        let file = try WatchedFile(path, isOptional: false, logger: recorder.logger(.info)) {
            node throws(ConfigurationError) in try SPDKConfiguration(node)
        }
        #expect(file.current?.nodes.count == 1)
        try write(configuration([1, 2]), to: path)
        try await eventually(within: .seconds(3)) { file.current?.nodes.count == 2 }
        try write("{\"nodes\":[", to: path)
        try await eventually(within: .seconds(3)) {
            _ = file.current
            return recorder.lines.contains { $0.hasPrefix("error") && $0.contains(path) }
        }
        #expect(file.current?.nodes.count == 2)
        try write(configuration([1]), to: path)
        try await eventually(within: .seconds(3)) { file.current?.nodes.count == 1 }
    }

    @Test func `A missing file is an error at the start, but for the secrets`() throws {
        let directory = try TemporaryDirectory(), path = "\(directory.path)/none.json"
        let error = thrown {
            _ = try WatchedFile(path, isOptional: false, logger: quiet) { node throws(ConfigurationError) in
                try SPDKConfiguration(node)
            }
        }
        #expect(error.contains(path), "\(error)")
        let file = try WatchedFile(path, isOptional: true, logger: quiet) { node throws(ConfigurationError) in
            try SPDKSecrets(node)
        }
        #expect(file.current == nil)
    }
}
