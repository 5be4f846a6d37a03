import GRPCCore
import Registry
import TestSupport
import Testing

@testable import csictl

@Suite("csictl")
struct CsictlTests {
    @Test(
        "a command line becomes a method and a request",
        arguments: [
            (["probe"], "Probe", "{}"),
            (["create-volume", #"{"name":"a"}"#], "CreateVolume", #"{"name":"a"}"#),
            (["controller.ListVolumes", "max_entries=3"], "ListVolumes", #"{"max_entries":"3"}"#),
            (["csi.v1.Node/NodeGetInfo"], "NodeGetInfo", "{}"),
            (
                ["createvolume", "parameters.csi.storage.k8s.io/x=true", "capacity_range.limit_bytes=2Gi"],
                "CreateVolume",
                #"{"parameters":{"csi.storage.k8s.io/x":"true"},"capacity_range":{"limit_bytes":"2147483648"}}"#
            ),
            (
                ["publish", "id", "/s", "/t", "-ro", "-block", "volume_context:={\"a\":\"b\"}"], "NodePublishVolume",
                #"{"volume_capability":{"access_mode":{"mode":"SINGLE_NODE_WRITER"},"block":{}},"volume_id":"id","#
                    + #""staging_target_path":"/s","target_path":"/t","readonly":true,"volume_context":{"a":"b"}}"#
            ),
            (
                ["create", "pvc-1", "-size", "512Mi", "-fs", "xfs", "-nsmode", "sector"], "CreateVolume",
                #"{"capacity_range":{"required_bytes":"536870912"},"volume_capabilities":[{"access_mode":"#
                    + #"{"mode":"SINGLE_NODE_WRITER"},"mount":{"fs_type":"xfs"}}],"name":"pvc-1","#
                    + #""parameters":{"nsmode":"sector"}}"#
            ),
            (
                ["create", "b", "-from-snapshot", "s-1", "-provisioning", "thin", "-block"], "CreateVolume",
                #"{"volume_capabilities":[{"access_mode":{"mode":"SINGLE_NODE_WRITER"},"block":{}}],"name":"b","#
                    + #""volume_content_source":{"snapshot":{"snapshot_id":"s-1"}},"#
                    + #""parameters":{"provisioning":"thin"}}"#
            ),
            (
                ["create", "c", "-from-volume", "v-1", "-size", "2Gi"], "CreateVolume",
                #"{"volume_capabilities":[{"access_mode":{"mode":"SINGLE_NODE_WRITER"},"mount":{"fs_type":"ext4"}}],"#
                    + #""name":"c","volume_content_source":{"volume":{"volume_id":"v-1"}},"#
                    + #""capacity_range":{"required_bytes":"2147483648"}}"#
            ),
            (["snapshot", "s", "v-1"], "CreateSnapshot", #"{"name":"s","source_volume_id":"v-1"}"#),
            (
                ["snapshots", "-volume", "v-1", "-max", "2"], "ListSnapshots",
                #"{"source_volume_id":"v-1","max_entries":"2"}"#
            ),
            (["delete-snapshot", "s-1"], "DeleteSnapshot", #"{"snapshot_id":"s-1"}"#),
            (["delete-snapshot", "snapshot_id=s-1"], "DeleteSnapshot", #"{"snapshot_id":"s-1"}"#),
            (["delete-snapshot", #"{"snapshot_id":"s-1"}"#], "DeleteSnapshot", #"{"snapshot_id":"s-1"}"#),
            (["get-snapshot", "s-1"], "GetSnapshot", #"{"snapshot_id":"s-1"}"#),
            (["get", "v-1"], "ControllerGetVolume", #"{"volume_id":"v-1"}"#),
            (
                ["expand", "v-1", "-size", "2Gi"], "ControllerExpandVolume",
                #"{"volume_id":"v-1","capacity_range":{"required_bytes":"2147483648"}}"#
            ),
            (
                ["modify", "v-1", "-eraseafter", "false"], "ControllerModifyVolume",
                #"{"volume_id":"v-1","mutable_parameters":{"eraseafter":"false"}}"#
            ),
            (
                ["node-expand", "v-1", "/t", "-staging", "/s"], "NodeExpandVolume",
                #"{"volume_id":"v-1","volume_path":"/t","staging_target_path":"/s"}"#
            ),
            (
                ["-time", "-progress", "stats", "v-1", "/t"], "NodeGetVolumeStats",
                #"{"volume_id":"v-1","volume_path":"/t"}"#
            ),
            (
                ["-timeout=5", "--endpoint", "/x.sock", "delete", "id", "secrets.a.b=c=\"d\""], "DeleteVolume",
                #"{"volume_id":"id","secrets":{"a.b":"c=\"d\""}}"#
            ),
        ])
    func requests(_ words: [String], _ method: String, _ json: String) throws {
        let request = try Request(Options(words, environment: [:]))
        #expect(request.method.name == method)
        #expect(request.json == json)
        _ = try request.method.prepare(request.json)
    }

    @Test(
        "wrong usage is refused before any call",
        arguments: [
            ["frob"], ["create"], ["create", "a", "-frob", "1"], ["snapshot", "s"], ["modify", "v", "-frob", "1"],
            ["create", "a", "-size", "1GB"], ["-frob", "probe"],
            ["-timeout", "0", "probe"], ["list-volumes", "max"], ["list-volumes", "frob=1"],
            ["create-volume", "name=a", "name.b=c"], ["create-volume", "volume_capabilities.1.block:={}"],
        ])
    func usage(_ words: [String]) {
        #expect(throws: UsageError.self) {
            let request = try Request(Options(words, environment: [:]))
            _ = try request.method.prepare(request.json)
        }
    }

    @Test("the endpoint comes from the flag, then CSI_ENDPOINT, then the default")
    func endpoint() throws {
        let environment = ["CSI_ENDPOINT": "/env.sock"]
        #expect(try Options(["probe"], environment: [:]).endpoint.description == "unix:///tmp/pmem-csi.sock")
        #expect(try Options(["probe"], environment: environment).endpoint.description == "unix:///env.sock")
        let options = try Options(["-endpoint", "tcp://h:1", "probe"], environment: environment)
        #expect(try options.endpoint.description == "tcp://h:1")
    }

    @Test("a field is picked from an answer", arguments: [("a.b", "c"), ("l.1.x", "2"), ("a", #"{"b":"c"}"#)])
    func fields(_ path: String, _ expected: String) throws {
        let value = try JSONValue(parsing: #"{"a":{"b":"c"},"l":[{},{"x":2}]}"#)
            .value(at: path.split(separator: ".").map(String.init)[...])
        switch value {
        case .string(let text): #expect(text == expected)
        case let other: #expect(other?.text == expected)
        }
    }

    @Test("a call's answer is JSON with the names of csi.proto")
    func call() async throws {
        let directory = try TemporaryDirectory()
        let service = service(try directory.socket(), interceptors: [])
        let shown = try await running(service) { _ in
            let endpoint = try await service.listeningEndpoint
            let call = try #require(Method.named("probe")).prepare("{}")
            let answer = Announcement<String>()
            try await withClient(to: endpoint) { client in
                try await call(client, .defaults) { answer.announce(.success($0)) }
            }
            return try await answer.value
        }
        #expect(shown == #"{"ready":true}"#)
    }

    @Test("all 34 methods are known, each under one name")
    func methods() {
        #expect(Method.all.count == 34)
        #expect(Set(Method.all.map(\.name)).count == 34)
        #expect(Method.named("node-stage-volume")?.fields().contains("staging_target_path") == true)
    }
}
