import Testing

@testable import Registry

@Suite("Endpoint")
struct EndpointTests {
    @Test(
        "text becomes an address",
        arguments: [
            ("unix:///run/csi.sock", Endpoint.Address.unix(path: "/run/csi.sock"), "unix:///run/csi.sock"),
            ("UNIX:///Run/csi.sock", .unix(path: "/Run/csi.sock"), "unix:///Run/csi.sock"),
            ("/csi/csi.sock", .unix(path: "/csi/csi.sock"), "unix:///csi/csi.sock"),
            ("tcp://127.0.0.1:10000", .tcp(host: "127.0.0.1", port: 10000), "tcp://127.0.0.1:10000"),
            ("TCP://:10001", .tcp(host: "", port: 10001), "tcp://:10001"),
            ("tcp://[::1]:1", .tcp(host: "::1", port: 1), "tcp://[::1]:1"),
            ("tcp://fd00:10:1::2:10001", .tcp(host: "fd00:10:1::2", port: 10001), "tcp://[fd00:10:1::2]:10001"),
            ("tcp://::1:80", .tcp(host: "::1", port: 80), "tcp://[::1]:80"),
            ("tcp://:::80", .tcp(host: "::", port: 80), "tcp://[::]:80"),
            ("tcp://node-1.example:65535", .tcp(host: "node-1.example", port: 65535), "tcp://node-1.example:65535"),
            (
                "unix:///" + String(repeating: "a", count: 106),
                .unix(path: "/" + String(repeating: "a", count: 106)),
                "unix:///" + String(repeating: "a", count: 106)
            ),
        ])
    func parses(_ text: String, _ address: Endpoint.Address, _ description: String) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.address == address)
        #expect(endpoint.description == description)
        #expect(try Endpoint(endpoint.description) == endpoint)
    }

    @Test(
        "nonsense is refused with a reason and the text itself",
        arguments: [
            ("", "no scheme"), ("csi.sock", "no scheme"), ("http://x:1", "scheme is unknown"),
            ("unix://", "must be absolute"), ("unix://csi.sock", "must be absolute"), ("unix:///dir/", "directory"),
            ("unix:///a\0b", "NUL"), ("unix:///" + String(repeating: "a", count: 107), "108 bytes"),
            ("unix:///" + String(repeating: "ä", count: 54), "109 bytes"),
            ("tcp://host", "port is missing"), ("tcp://host:", "from 0 to 65535"),
            ("tcp://host:65536", "from 0 to 65535"), ("tcp://host:-1", "from 0 to 65535"),
            ("tcp://host:+1", "from 0 to 65535"), ("tcp://::1", "brackets"), ("tcp://[host]:80", "brackets"),
            ("tcp://fd00::g:80", "brackets"), ("tcp://1:2:80", "brackets"), ("tcp://[::1:80", "brackets"),
            ("tcp://a/b:80", "contains"),
        ])
    func refuses(_ text: String, _ reason: String) {
        let error = #expect(throws: TransportError.self) { try Endpoint(text) }
        #expect(error?.code == .invalidEndpoint)
        #expect(error?.message.contains(reason) == true)
        #expect(error?.message.contains(text) == true)
    }

    @Test(
        "the host of a caller is one that can be called",
        arguments: [
            ("ipv4:192.0.2.1:5", "192.0.2.1"), ("ipv6:[fd00::2]:5", "fd00::2"),
            ("ipv6:[::ffff:192.0.2.1]:5", "192.0.2.1"), ("unix:/a.sock", nil),
        ] as [(String, String?)])
    func caller(_ peer: String, _ host: String?) {
        #expect(RemotePeer.host(peer) == host)
    }
}
